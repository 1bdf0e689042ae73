"""Whether what looks at the frames can be loaded and fits them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smartscope.errors import SmartscopeError
from smartscope.preflight.channels import too_much_kept
from smartscope.preflight.regions import unfit_regions
from smartscope.preflight.verdicts import verdict_notices
from smartscope.recognition import ModelDetector, load_detector, slot_of
from smartscope.reflex import looked_at

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from pymmcore_plus import CMMCorePlus

    from smartscope.microscope import Microscope
    from smartscope.preflight.orders import Orders
    from smartscope.settings import Experiment

# what changes the size of a camera's frames
_SHAPING = ("Binning", "ROI", "OnCameraCCDXSize", "OnCameraCCDYSize")


def wrong_correction(
    experiment: Experiment, microscope: Microscope, taken: Collection[str]
) -> Iterator[str]:
    """Yield if frames will have another shape than the dark and flat field.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    microscope : Microscope
        With its dark and flat field, or none.
    taken : Collection of str
        Presets in which the survey takes frames.
    """
    analysis, core = experiment.analysis, microscope.core
    if not analysis.correct or microscope.calibration is None:
        return
    camera, group = str(core.getCameraDevice()), microscope.channel_group
    ordered: dict[str, list[str]] = {}
    if (setup := experiment.survey.setup) is not None:
        ordered["survey.setup: it"] = ["a ROI"] if setup.roi is not None else []
        ordered["survey.setup: it"] += _shaping(core, camera, setup.properties or ())
    for preset in sorted(taken):
        looked_at_it = slot_of(analysis.channels, preset, camera) is not None
        if looked_at_it and core.isConfigDefined(group, preset):
            settings = core.getConfigData(group, preset)
            told = f"survey.channels: the preset '{preset}'"
            ordered[told] = _shaping(core, camera, settings)
    for who, changes in ordered.items():
        if changes:
            yield (
                f"{who} sets {' and '.join(changes)}, and the microscope has a dark or "
                f"flat field of {' x '.join(map(str, microscope.camera_shape()))} "
                "pixels. Take it again as the survey takes its frames and let the "
                "configuration set the camera, or set analysis.correct to false."
            )


def _shaping(
    core: CMMCorePlus, camera: str, settings: Iterable[tuple[str, str, Any]]
) -> list[str]:
    """Return which settings change the size of the frames as they come now."""
    return [
        f"the property '{name}' of '{device}'"
        for device, name, value in settings
        if device == camera
        and name in _SHAPING
        and core.hasProperty(device, name)
        and str(core.getProperty(device, name)) != str(value)
    ]


def wrong_detector(
    experiment: Experiment,
    microscope: Microscope,
    orders: Orders,
    notices: list[str],
) -> Iterator[str]:
    """Yield why the detector cannot be loaded or does not fit the camera's frames.

    A model is warmed up on an empty frame. A detector of one's own is made and not
    called: it runs in the analysis process only.
    """
    analysis = experiment.analysis
    presets = [c.config for c in experiment.survey.channels]
    calibration = microscope.calibration if analysis.correct else None
    try:
        detector = load_detector(
            analysis.detect,
            analysis.denoise,
            channels=analysis.channels,
            corrections=calibration.corrections if calibration is not None else None,
            unverified=analysis.unverified,
        )
        if isinstance(detector, ModelDetector):
            together = looked_at(analysis.channels, presets, calibration is not None)
            for channels in together:
                detector.warm_up(microscope.empty_frame(), channels)
            notices += detector.notices
            notices += verdict_notices(detector, microscope.name)
            yield from unfit_regions(experiment, microscope, detector, together)
            if calibration is not None:
                names = [name for channels in together for name in channels]
                notices += calibration.notices(names)
            yield from too_much_kept(
                experiment, orders, detector.channels, detector.window
            )
        elif calibration is not None:
            notices.append(
                "Dark and flat field are not used: a detector of one's own sees raw "
                "frames."
            )
    except SmartscopeError as e:
        said = " ".join(s for s in (e.what, e.rule, e.way_out) if s)
        yield f"analysis: {said}"
