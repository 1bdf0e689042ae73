"""Which head reads a model, and how: from its settings, its card, or its output."""

from __future__ import annotations

from smartscope.errors import Refused
from smartscope.inference.heads.boxes import (
    BoxHead,
    check_layout,
    guess_layout,
    told_layouts,
)
from smartscope.inference.heads.class_peaks import class_peak_head
from smartscope.inference.heads.classes import ClassHead
from smartscope.inference.heads.head import Head
from smartscope.inference.heads.labels import LabelHead
from smartscope.inference.heads.stardist import gives_rays, star_head
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.settings import DetectSettings, HeadName

_DEFAULT_OVERLAP = {"boxes": 0.45, "stardist": 0.4}
_UNNAMED = ("object",)


def head_of(package: ModelPackage) -> HeadName:
    """Return the head that can read a model's output.

    The card tells; without one, a probability map is components, with rays beside it
    stardist, whole numbers of an image are labels, scores without places are classes,
    and rows of numbers are boxes.

    Raises
    ------
    smartscope.errors.Refused
        If neither the card nor the output tells.
    """
    if package.head.head is not None:
        return package.head.head
    output = package.output
    flat = not set(output.letters) & {*"yx"}
    if flat and len(output.axes) == 2:
        return "classes"
    if flat and len(output.axes) == 3:
        return "boxes"
    if package.head.n_rays is not None or gives_rays(
        package.onnx.outputs, output.letters
    ):
        return "stardist"
    if not flat and output.dtype.startswith(("int", "uint")):
        return "labels"
    if output.probability:
        return "components"
    raise Refused(
        f"Nothing says how the output '{output.name}' of {package.name} is to be read: "
        "it has no card with a head, and it is no probability map.",
        rule="A detecting model is read by a head: peaks, components, labels, boxes, "
        "stardist or classes.",
        way_out="Set 'head' in the experiment's detect settings, or write 'head: ...' "
        "into the model's card.",
    )


def reader_of(
    package: ModelPackage, head: HeadName, settings: DetectSettings, threshold: float
) -> tuple[Head | None, tuple[str, ...]]:
    """Return what reads a model's output, and the names of the classes.

    Parameters
    ----------
    package : ModelPackage
        The model.
    head : str
        As `head_of` or the settings say.
    settings : DetectSettings
        What they leave open is taken from the card.
    threshold : float
        Things are above it.

    Returns
    -------
    reader : Head or None
        None for one map, which peaks and components read without one.
    classes : tuple of str
        Their names, in the order of the output.

    Raises
    ------
    smartscope.errors.Refused
        If the output is not what the head reads.
    """
    classes = settings.classes or package.head.classes
    _check_axes(package, head)
    if head == "peaks":
        return class_peak_head(package, threshold, classes), classes
    if head == "boxes":
        return _box_reader(package, settings, threshold, classes)
    if head == "classes":
        size = package.output.channels if package.output.axis("c") else None
        named = classes
        if classes == _UNNAMED and size not in (None, 1):
            named = _numbered(size or 1)
        if size is not None and size != len(named):
            raise Refused(
                f"The model {package.name} gives {size} scores and names "
                f"{len(named)} classes ({', '.join(named)}).",
                rule="Every class has one score, in the order of the output.",
                way_out="Correct 'classes' in the card or the detect settings.",
            )
        return ClassHead(len(named)), named
    if len(classes) > 1:
        raise Refused(
            f"{len(classes)} classes are named for {package.name} and its head is "
            f"{head}.",
            rule=f"The head {head} finds things of one class.",
            way_out="Name one class, or take another head.",
        )
    if head == "labels":
        channel, channels = package.head.channel, package.output.channels
        none_told = channel is None and channels != 1
        if none_told or (channels is not None and (channel or 0) >= channels):
            raise Refused(
                f"The output of {package.name} has {channels} channels and labels are "
                f"read from {'none of them' if channel is None else channel}.",
                rule="One channel, counted from 0, holds the labels.",
                way_out="Write 'channel: N' into the card.",
            )
        return LabelHead(package.output.letters, channel or 0), classes
    if head == "stardist":
        return star_head(package, threshold), classes
    return None, classes


def overlap_of(
    package: ModelPackage, head: HeadName, settings: DetectSettings
) -> float:
    """Return the overlap above which two things are one: settings, card, default."""
    return (
        settings.nms_overlap
        or package.head.nms_overlap
        or _DEFAULT_OVERLAP.get(head, 1.0)
    )


def map_channel(package: ModelPackage) -> int:
    """Return the channel of the output that is the map.

    Raises
    ------
    smartscope.errors.Refused
        If there are several and no card says which, or it has not so many.
    """
    channels, wanted = package.output.channels, package.head.channel
    if wanted is not None:
        if channels is not None and wanted >= channels:
            raise Refused(
                f"The card of {package.name} reads channel {wanted} and the output has "
                f"{channels}.",
                rule="Channels count from 0.",
                way_out="Correct 'channel' of the card.",
            )
        return wanted
    if channels not in (None, 1):
        axis = package.output.axis("c")
        names = f" ({', '.join(axis.names)})" if axis is not None and axis.names else ""
        raise Refused(
            f"The output of {package.name} has {channels} channels{names}, and no card "
            "says which one is the map.",
            rule="A head reads one map.",
            way_out="Write 'channel: N' into the card (of a package: under config: "
            "smartscope:).",
        )
    return 0


def _box_reader(
    package: ModelPackage,
    settings: DetectSettings,
    threshold: float,
    classes: tuple[str, ...],
) -> tuple[Head, tuple[str, ...]]:
    card, shape = package.head, package.onnx.outputs[0].shape
    count = None if classes == _UNNAMED else len(classes)
    rows, columns = (
        None if axis is None else axis.size for axis in map(package.input.axis, "yx")
    )
    layout = (
        settings.layout or card.layout or guess_layout(shape, count, (rows, columns))
    )
    where = f"The model {package.name}"
    if layout is None:
        raise Refused(
            f"{where} gives boxes as an output of shape {shape}, which can be read in "
            "more than one way.",
            rule=f"Layouts are {told_layouts()}.",
            way_out="Write 'layout: ...' or all 'classes' into the card or the detect "
            "settings.",
        )
    have = check_layout(layout, shape, count, where)
    if count is None and have > 1:
        classes = _numbered(have)
    form = card.box_form or ("corners" if layout == "nms_inside" else "center_size")
    reader = BoxHead(
        layout,
        corners=form == "corners",
        shares=card.box_units == "share",
        threshold=threshold,
        overlap=overlap_of(package, "boxes", settings),
    )
    return reader, classes


def _check_axes(package: ModelPackage, head: HeadName) -> None:
    letters = package.output.letters
    flat = not {"y", "x"} <= set(letters)
    if flat and head not in ("boxes", "classes"):
        raise Refused(
            f"The output '{package.output.name}' of {package.name} has the axes "
            f"'{letters}' and its head is {head}.",
            rule=f"The head {head} reads an image.",
            way_out="Correct 'head' in the card or the detect settings.",
        )


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"class_{i}" for i in range(count))
