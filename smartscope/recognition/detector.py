"""What finds things in a frame: models read by a head, or a detector of one's own."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, runtime_checkable

from smartscope.acquisition import Frame
from smartscope.errors import Refused, nearest
from smartscope.inference import (
    Corrections,
    DenoiseSettings,
    DetectSettings,
    Pipeline,
    require_reproduced,
    shipped_models,
)
from smartscope.recognition.classical import CLASSICAL
from smartscope.recognition.detections import Detections
from smartscope.recognition.model_detector import ModelDetector

ENTRY_POINTS = "smartscope.detectors"


@runtime_checkable
class Detector(Protocol):
    """Finds things in one frame.

    It may also have ``sha256: str``, which is recorded with every run, and
    ``warm_up(frame)``, which is called once before the run and refuses frames that do
    not fit it.
    """

    def detect(self, frame: Frame, /) -> Detections:
        """Return the things in a frame; called once per analysed frame, in order.

        The next frame is written where the pixels of this one lie: who keeps some
        copies them.
        """


def load_detector(
    detect: DetectSettings,
    denoise: DenoiseSettings | None = None,
    *,
    channels: tuple[str, ...] = (),
    corrections: Corrections | None = None,
    unverified: bool = False,
) -> Detector:
    """Make the detector an experiment names.

    Parameters
    ----------
    detect : DetectSettings
        ``model`` is looked for in this order: a shipped model, a classical detector
        (otsu, adaptive, log, watershed, frame_difference), a detector registered
        under the entry point ``smartscope.detectors``, ``module:Class``, a path.
    denoise : DenoiseSettings, optional
        Only with a model.
    channels : tuple of str
        Presets or cameras, in the order of the model that looks at them together; one
        or none: each frame is looked at by itself. Several only with a model.
    corrections : Corrections, optional
        Dark and flat field of the camera; a detector of one's own sees raw frames.
    unverified : bool
        Take packages that do not reproduce their own test tensors; the detector says
        so in its notices and models.

    Returns
    -------
    Detector
        A `ModelDetector`, or an instance of the user's class, made with
        ``detect.options``.

    Raises
    ------
    smartscope.errors.Refused
        If there is no such model or class, it cannot be used, or its package does not
        reproduce its test tensors.
    """
    name = detect.model
    if looks_alone(name):
        if name in CLASSICAL:
            return _classical(detect, denoise, channels)
        registered = {e.name: e for e in entry_points(group=ENTRY_POINTS)}
        value = registered[name].value if name in registered else name
        return _own(value, detect, denoise, channels)
    if detect.options:
        raise Refused(
            f"The detector '{name}' is a model and takes no options "
            f"({', '.join(detect.options)} given).",
            rule="'options' are handed to a detector of one's own.",
            way_out="Remove 'options'.",
        )
    several = len(channels) > 1
    pipeline = Pipeline.load(
        detect,
        denoise,
        corrections=corrections,
        channels=len(channels) if several else None,
    )
    _check_channels(pipeline, channels)
    verdicts = {
        role: require_reproduced(model.package, accept=unverified)
        for role, model in pipeline.models.items()
    }
    return ModelDetector(pipeline, detect, verdicts)


def looks_alone(name: str) -> bool:
    """Return whether a detector is no model and sees single raw frames.

    Parameters
    ----------
    name : str
        ``model`` of the settings: a classical detector, one that is registered, or
        ``module:Class``; shipped models and paths go first.
    """
    if name in shipped_models() or Path(name).exists():
        return False
    if name in CLASSICAL or name in {e.name for e in entry_points(group=ENTRY_POINTS)}:
        return True
    module, colon, _ = name.partition(":")
    return bool(colon) and all(part.isidentifier() for part in module.split("."))


def _classical(
    settings: DetectSettings,
    denoise: DenoiseSettings | None,
    channels: tuple[str, ...],
) -> Detector:
    if len(channels) > 1:
        raise Refused(
            f"The detector '{settings.model}' looks at one frame at a time, and "
            f"analysis.channel names several: {', '.join(channels)}.",
            rule="Several channels go into a model that was made for them.",
            way_out="Name one channel, or none: then it sees the frames of all.",
        )
    if denoise is not None:
        raise Refused(
            f"The detector '{settings.model}' looks at raw frames, and a denoising "
            "model is set too.",
            rule="A classical detector smooths by itself.",
            way_out="Remove 'denoise', or set options.smooth_um.",
        )
    return CLASSICAL[settings.model](settings)


def _check_channels(pipeline: Pipeline, channels: tuple[str, ...]) -> None:
    """Refuse another number of channels than the model takes."""
    wanted, given = pipeline.channels, max(1, len(channels))
    if wanted == given:
        return
    first = next(iter(pipeline.models.values()))
    named = f"{given}: {', '.join(channels)}" if channels else "none"
    raise Refused(
        f"The model '{first.package.name}' takes {wanted} "
        f"{'channel' if wanted == 1 else 'channels'}, and analysis.channel names "
        f"{named}.",
        rule="A model sees as many channels as it was made for, in its order.",
        way_out="Name them, such as 'channel: [DAPI, FITC]', or take another model."
        if wanted > 1
        else "Name one channel, or take a model of several.",
    )


def _own(
    value: str,
    settings: DetectSettings,
    denoise: DenoiseSettings | None,
    channels: tuple[str, ...],
) -> Detector:
    """Make a user's detector from ``module:Class``."""
    if len(channels) > 1:
        raise Refused(
            f"The detector '{settings.model}' is one's own, and analysis.channel names "
            f"several: {', '.join(channels)}.",
            rule="A detector of one's own sees each frame by itself; several channels "
            "go into a model.",
            way_out="Name one channel, or none: then it sees the frames of all.",
        )
    if denoise is not None:
        raise Refused(
            f"The detector '{settings.model}' is one's own, and a denoising model is "
            "set too.",
            rule="A detector of one's own sees raw frames and restores what it likes.",
            way_out="Remove 'denoise'.",
        )
    module_name, _, class_name = value.partition(":")
    try:
        module = importlib.import_module(module_name)
    # a user's module may raise anything, and a script leaves with SystemExit
    except (Exception, SystemExit) as e:
        raise Refused(
            f"The detector '{settings.model}': the module '{module_name}' cannot be "
            f"imported ({type(e).__name__}: {e}).",
            rule="A detector of one's own is named 'module:Class'.",
            way_out="Install it, or put its folder on PYTHONPATH.",
        ) from e
    made = getattr(module, class_name, None)
    if not isinstance(made, type):
        raise Refused(
            f"The module '{module_name}' has no class '{class_name}'."
            + nearest(
                class_name, [n for n, v in vars(module).items() if isinstance(v, type)]
            ),
            rule="A detector of one's own is named 'module:Class'.",
            way_out="Name a class of that module.",
        )
    try:
        detector = made(**settings.options)
    except (Exception, SystemExit) as e:  # a user's class may raise anything
        raise Refused(
            f"The detector '{settings.model}' cannot be made with the options "
            f"{settings.options}: {type(e).__name__}: {e}.",
            rule="A detector of one's own is built with its options as keywords.",
            way_out="Correct the options, or the class.",
        ) from e
    if not isinstance(detector, Detector):
        raise Refused(
            f"The detector '{settings.model}' has no method 'detect'.",
            rule="A detector has detect(frame) -> Detections.",
            way_out="Give it one; demos/own_detector.py is an example.",
        )
    return detector
