"""What a run is put together from, by what its experiment and microscope say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from smartscope.acquisition import camera_labels
from smartscope.loop.analyst import Analyst, AnalystListener
from smartscope.loop.inline import InlineAnalyst
from smartscope.loop.no_analyst import NoAnalyst
from smartscope.storage import RunFolder
from smartscope.telemetry import Telemetry

if TYPE_CHECKING:
    from smartscope.microscope import Microscope
    from smartscope.settings import Experiment


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
    )
