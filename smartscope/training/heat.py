"""A detector of points or events, from what it is shown to a package."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from smartscope.pairs import Pointed, Split
from smartscope.training.export import export
from smartscope.training.folder import begun_with
from smartscope.training.heat_net import STEP, HeatNet, HeatPackage
from smartscope.training.heat_source import Source, shown
from smartscope.training.heat_task import Heating
from smartscope.training.point_source import PointSource
from smartscope.training.points import PointFolder
from smartscope.training.settings import HeatSettings
from smartscope.training.sitting import Asked, MadeOf, Sitting, Trained
from smartscope.trial import Finds, finds, finds_in_each, lowest_threshold

SIZES = ("size", "grid", "least_noise", "most_contrast")
"""Settings that say how large the network is and how it sees its frames."""

_DRAWN, _EDGE_PX = 24, 256  # images that are drawn where none are given
_FREELY_UM = 0.01  # nearer than any two pixels: the map alone says what is one thing


@dataclass(frozen=True)
class HeatData:
    """What a detector of points is made of and judged by.

    Attributes
    ----------
    source : Source
        What it learns from; its frames are those of the model.
    path : Path
        Of the data, or what simulated ones are called.
    watching, judging : sequence of Pointed
        Images that the threshold is chosen on (the highest F1; of events the lowest
        one that is not told apart), and those it is judged on, never seen;
        default: drawn from the source, as many as 24 each, from seeds that no step
        draws.
    judged_on : str
        What the latter are called.
    images : Mapping
        How many of each part.
    learned_from, test : sequence of str
        Hashes of images.
    """

    source: Source
    path: Path
    watching: Sequence[Pointed] = ()
    judging: Sequence[Pointed] = ()
    judged_on: str = "test"
    images: Mapping[str, int] = field(default_factory=dict)
    learned_from: Sequence[str] = ()
    test: Sequence[str] = ()

    def with_drawn(self, seed: int) -> tuple[Sequence[Pointed], Sequence[Pointed]]:
        """Return what watches and what judges, drawn where nothing was given."""
        return (
            self.watching or shown(self.source, seed, _DRAWN, _EDGE_PX, watch=True),
            self.judging or shown(self.source, seed + 1, _DRAWN, _EDGE_PX, watch=True),
        )


@dataclass(frozen=True)
class HeatWords:
    """What is said of a detector of points beside what follows from its settings.

    Attributes
    ----------
    card : Mapping
        More for the model's card, such as ``classes``, ``radius_um``, ``description``.
    limits : str
        Of use.
    measured : Callable, optional
        Given a package and its threshold, returns more figures for the record.
    told : Callable, optional
        Given all figures, says those in words for the README.
    """

    card: Mapping[str, Any] = field(default_factory=dict)
    limits: str = (
        "Things that look like those it was shown, at about their size in pixels and "
        "in the same kind of image."
    )
    measured: Callable[[Path, float], Mapping[str, Any]] | None = None
    told: Callable[[Mapping[str, Any]], str] | None = None


def train_points(
    data: str | Path, out: str | Path, settings: HeatSettings, **more: Any
) -> Trained:
    """Train a detector of points or events on a folder of images or movies.

    Parameters
    ----------
    data : path
        See ``PointFolder.read``.
    out : path
        Folder to be made, as of ``train_detect``.
    settings : HeatSettings
        How; patches are not larger than the smallest image.
    **more
        As of ``train_heat``.

    Raises
    ------
    smartscope.errors.Refused
        If data or folder are not what they should be.
    """
    data, out = Path(data), Path(out)
    settings = begun_with(out, settings, resume=bool(more.get("resume")))
    folder = PointFolder.read(data, settings)
    parts = folder.parts
    fits = min(settings.patch_px, folder.smallest_px // STEP * STEP)
    source = PointSource(parts["train"], parts["validation"], settings.frames)
    judges: Split = "test" if parts["test"] else "validation"
    seen = [*parts["train"], *parts["validation"]]
    return train_heat(
        HeatData(
            source,
            data,
            parts["validation"],
            parts[judges],
            judges,
            {part: len(images) for part, images in parts.items()},
            [one.sha256 for one in seen],
            [one.sha256 for one in parts["test"]],
        ),
        out,
        settings.model_copy(update={"patch_px": fits}),
        **more,
    )


def train_heat(
    data: HeatData,
    out: str | Path,
    settings: HeatSettings,
    *,
    words: HeatWords | None = None,
    **asked: Unpack[Asked],
) -> Trained:
    """Train a detector that puts a hill on each thing, and make a package of it.

    After Zhou et al., Objects as points (2019).

    Parameters
    ----------
    data : HeatData
        What it learns from and is judged by.
    out : path
        Folder to be made, as of ``train_detect``.
    settings : HeatSettings
        How.
    words : HeatWords, optional
        What is said of it.
    **asked
        See ``Asked``.

    Raises
    ------
    smartscope.errors.Refused
        If the folder is not what it should be.
    smartscope.errors.BrokenOff
        If the loss is no number any more or memory is not enough.
    KeyboardInterrupt
        After the checkpoint is written; ``resume`` goes on with it.
    """
    words = words or HeatWords()
    sitting = Sitting.opened(out, settings, SIZES, **asked)
    settings = sitting.settings.model_copy(update={"frames": data.source.frames})
    sitting = replace(sitting, settings=settings)
    made_of = MadeOf(
        data.path, data.images, data.learned_from, {"test_sha256": list(data.test)}
    )
    learner = sitting.learned(Heating(data.source, settings), made_of)
    net = learner.best_net()
    assert isinstance(net, HeatNet)
    name = sitting.imprint.name or data.path.name
    watching, judging = data.with_drawn(settings.seed)
    card, distance = _card(name, settings, words.card), settings.distance_px
    with tempfile.TemporaryDirectory(prefix="smartscope_detector_") as folder:
        first = Path(folder) / "first"
        _export(net, first, card, settings)
        watched = finds_in_each(first, watching, distance)
        threshold = (
            lowest_threshold(watched, settings.seed)
            if settings.frames > 1
            else Finds.joined(watched).best_threshold
        )
        figures: dict[str, Any] = {
            "judged_on": data.judged_on,
            "images": len(judging),
            "threshold": threshold,
            "distance_px": distance,
            **finds(first, judging, distance).at(threshold),
        }
        if words.measured is not None:
            figures |= words.measured(first, threshold)
    in_words = heat_figures_told(figures)
    if words.told is not None:
        in_words += "\n\n" + words.told(figures)
    package = sitting.packed(
        partial(_export, net, card={**card, "threshold": threshold}, settings=settings),
        name,
        sitting.record(made_of, learner.course, figures=figures),
        told=in_words,
        limits=words.limits,
    )
    return Trained(package, learner.course, figures)


def heat_figures_told(figures: Mapping[str, Any]) -> str:
    """Return the figures of a detector of points in words."""
    error = figures["error_px"]
    return (
        f"On {figures['images']} images of the {figures['judged_on']} part, never "
        f"trained on, at threshold {figures['threshold']:g}: precision "
        f"{figures['precision']:.3f}, recall {figures['recall']:.3f}, F1 "
        f"{figures['f1']:.3f}, where what is found at most "
        f"{figures['distance_px']:g} pixels from a point is that point; "
        f"{figures['tp']} found, {figures['fp']} false, {figures['fn']} missed."
        + ("" if error is None else f" They lie {error:.2f} pixels (r.m.s.) off.")
    )


def _export(
    net: HeatNet, out: Path, card: dict[str, Any], settings: HeatSettings, **more: Any
) -> float:
    return export(
        HeatPackage(net),
        out,
        card,
        outputs=("score",),
        channels=settings.frames,
        **more,
    )


def _card(name: str, settings: HeatSettings, more: Mapping[str, Any]) -> dict[str, Any]:
    pixel_um = settings.pixel_size_um
    sizes = {"min_distance_um": _FREELY_UM}
    if pixel_um is not None:
        sizes = {
            "pixel_size_um": pixel_um,
            "min_distance_um": 0.5 * settings.distance_px * pixel_um,
            "radius_um": 2 * settings.spread_px * pixel_um,
        }
    return {
        "name": name,
        "description": "Points in fluorescence images, as peaks of a map.",
        "axes": "bcyx",
        "step": STEP,
        "stride": settings.grid,
        "head": "peaks",
        "threshold": 0.5,
        # percentiles would be one and the same where things are few and the rest is 0
        "normalisation": ["zero_mean_unit_variance"],
        **({"channels_are": "frames"} if settings.frames > 1 else {}),
        **sizes,
        **more,
    }
