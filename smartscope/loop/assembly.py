"""What a run is put together from, by what its experiment and microscope say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from smartscope.acquisition import LightBudget, Readings, camera_labels
from smartscope.loop.analyst import Analyst, AnalystListener
from smartscope.loop.inline import InlineAnalyst
from smartscope.loop.no_analyst import NoAnalyst
from smartscope.recognition import watched
from smartscope.response import FocusOrders, VisitSettings, names_of
from smartscope.storage import RunFolder
from smartscope.telemetry import Telemetry

if TYPE_CHECKING:
    from smartscope.microscope import Microscope
    from smartscope.settings import Experiment


def focus_for(
    experiment: Experiment,
    microscope: Microscope,
    told: Callable[[dict[str, Any]], None],
) -> FocusOrders:
    """Return who orders the focus of places, and keeps what was found."""
    core, setup = microscope.core, experiment.survey.setup
    home_um: float | None = None
    if experiment.looks_for_focus and core.getFocusDevice():
        home_um = float(core.getPosition())
        if setup is not None and setup.z_pos is not None:
            home_um = setup.z_pos
    return FocusOrders(
        experiment.focus,
        experiment.survey,
        active=experiment.looks_for_focus,
        home_um=home_um,
        limits=microscope.limits,
        channel_group=microscope.channel_group,
        told=told,
    )


def readings_for(experiment: Experiment, microscope: Microscope) -> Readings:
    """Return what is read of devices with each frame, as far as it is watched."""
    properties, locked = watched(experiment.analysis.occurrences.values())
    return Readings(microscope.core, properties, locked=locked)


def analyst_for(
    experiment: Experiment,
    microscope: Microscope,
    folder: RunFolder,
    listener: AnalystListener,
    telemetry: Telemetry,
    *,
    calibration: Sequence[dict[str, Any]] = (),
    in_process: bool = False,
    analyse: bool = True,
) -> Analyst | InlineAnalyst | NoAnalyst:
    """Return who looks at the frames: the analysis process, or this one for tests."""
    if not analyse:
        return NoAnalyst()
    sample = microscope.empty_frame()
    analysis = experiment.analysis
    init: dict[str, Any] = {
        "experiment": experiment.model_dump(mode="json"),
        "limits": microscope.limits.model_dump(mode="json"),
        "sample": sample.header(),
        "folder": str(folder.path),
        "calibration": list(calibration),
    }
    if analysis.denoise is not None and analysis.denoise.store:
        cameras = camera_labels(microscope.core)
        init["restored"] = {"folder": str(folder.path), "cameras": cameras}
    if in_process:
        return InlineAnalyst(init, listener)
    return Analyst(
        init,
        sample.pixels.nbytes,
        listener,
        telemetry,
        timeout_s=analysis.timeout_s,
        restarts=analysis.restarts,
        wait=experiment.mode == "synchronized",
        policies=tuple(names_of(experiment.policies)),
    )


def light_budget_for(experiment: Experiment, microscope: Microscope) -> LightBudget:
    """Return the account of light, fine enough for every objective that is used."""
    height, width = microscope.camera_shape()
    pixel_um = float(microscope.core.getPixelSizeUm())
    rules = microscope.turret
    finest = 1.0
    for policy in experiment.response:
        label = policy.objective if isinstance(policy, VisitSettings) else None
        if rules is not None and label is not None:
            start = str(microscope.core.getStateLabel(rules.device))
            ours, theirs = rules.of(start).pixel_size_um, rules.of(label).pixel_size_um
            if ours > 0 and theirs > 0:
                finest = min(finest, theirs / ours)
    return LightBudget(
        (width * pixel_um, height * pixel_um),
        microscope.limits.light_ms_percent,
        finest,
    )
