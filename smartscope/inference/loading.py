"""The models of an experiment, from its settings."""

from __future__ import annotations

from smartscope.errors import Refused
from smartscope.inference.heads.reading import head_of, reader_of
from smartscope.inference.intake import Intake
from smartscope.inference.model import SERIES, Model
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.scaling import Scaling
from smartscope.inference.settings import DenoiseSettings, DetectSettings, HeadName

DEFAULT_THRESHOLD = 0.5


def load_finder(
    settings: DetectSettings,
    window: int | None,
    channels: int | None,
    threads: int | None,
    *,
    fuse: bool,
) -> tuple[Model, HeadName, float, tuple[str, ...]]:
    """Read a detecting model and start its session.

    Parameters
    ----------
    settings : DetectSettings
        Which it is; head and threshold left open are taken from its card.
    window, channels : int, optional
        What it is given, if it takes any number.
    threads : int, optional
        For the CPU.
    fuse : bool
        False keeps the head out of the graph.

    Returns
    -------
    model : Model
    head : str
        How its output is read.
    threshold : float
        Things are above it.
    classes : tuple of str
        Their names.

    Raises
    ------
    smartscope.errors.Refused
        If it is missing or broken, or no head can read its output.
    """
    package = ModelPackage.load(settings.model)
    head = settings.head or head_of(package)
    threshold = settings.threshold or package.head.threshold or DEFAULT_THRESHOLD
    reader, classes = reader_of(package, head, settings, threshold)
    model = Model(
        package,
        device=settings.device,
        threads=threads,
        gives=reader or ("peaks" if head == "peaks" else "map"),
        fuse=fuse,
        intake=Intake.of(package, channels=channels, window=window),
        resample=settings.resample,
        tile_px=settings.tile_px,
        scaling=Scaling(settings.normalisation, package.input, name=f"{SERIES}_detect"),
        precision=settings.precision,
    )
    return model, head, threshold, classes


def load_restorer(
    settings: DenoiseSettings, window: int | None, threads: int | None
) -> Model:
    """Read a denoising model and start its session.

    Parameters
    ----------
    settings : DenoiseSettings
        Which it is.
    window : int, optional
        Frames it is given, if it takes any number.
    threads : int, optional
        For the CPU.

    Raises
    ------
    smartscope.errors.Refused
        If it is missing or broken, or gives no image of the frame's shape.
    """
    package = ModelPackage.load(settings.model)
    over_time = package.input.axis("t") or package.head.channels_are == "frames"
    intake = Intake.of(package, window=window if over_time else None)
    if any(a.stride != 1 for a in package.output.axes):
        raise Refused(
            f"The output of {package.name} has another pixel size than its input.",
            rule="A denoising model gives an image of the frame's shape.",
            way_out="Take a model that does, or leave 'denoise' out.",
        )
    return Model(
        package,
        device=settings.device,
        threads=threads,
        intake=intake,
        resample=settings.resample,
        tile_px=settings.tile_px,
        scaling=Scaling(
            settings.normalisation, package.input, name=f"{SERIES}_denoise"
        ),
        precision=settings.precision,
    )


def intake_of(detect: Model, denoise: Model | None) -> Intake:
    """Return what two models take together.

    Raises
    ------
    smartscope.errors.Refused
        If the one image that is restored is not what the other takes.
    """
    if denoise is None:
        return detect.intake
    if denoise.intake.planes == 1 and detect.intake.window == 1:
        return detect.intake
    if denoise.intake.planes > 1 and detect.intake.planes == 1:
        return denoise.intake
    name, other = detect.package.name, denoise.package.name
    raise Refused(
        f"The model {name} takes {detect.intake.told}, and {other}, which restores "
        f"them first, takes {denoise.intake.told}.",
        rule="A denoising model restores each channel of a moment by itself, or makes "
        "one image of several.",
        way_out="Leave 'denoise' out, or take a model of one channel and one frame.",
    )
