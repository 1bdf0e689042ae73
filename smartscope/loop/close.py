"""The close of a run: scored against truth where there is one, summarised, drawn.

The data are safe before this begins; what fails here is told and loses nothing.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from smartscope.settings import Experiment, names_to_catch
from smartscope.simulation import Truth
from smartscope.storage import Run, RunFolder, draw_summary, summarise
from smartscope.validation import read_controls, read_visits, score_run

_log = logging.getLogger(__name__)


def score(
    folder: RunFolder, truth: Truth | None, experiment: Experiment
) -> dict[str, Any]:
    """Score the run in a folder against the truth; ``{}`` without one.

    Only those events count whose name is an occurrence of the experiment.
    """
    if truth is None:
        return {}
    run = Run.open(folder.path)
    try:
        # what the experiment does not look for is not missed
        wanted = {
            kind: name
            for kind, name in truth.names.items()
            if name in experiment.analysis.occurrences
        }
        if not wanted:
            return {}
        truth = replace(truth, names=wanted)
        equal_light = experiment.controls.equal_light
        return score_run(
            run.taken,
            run.occurrences,
            truth,
            answered=names_to_catch(equal_light, experiment.response),
            caught=equal_light,
        )
    except Exception as e:  # noqa: BLE001 the run is over and safe
        _log.exception("The run could not be scored")
        return {"error": repr(e)}


def controls(folder: RunFolder, experiment: Experiment) -> dict[str, Any]:
    """Return what the controls of the run in a folder tell; ``{}`` without any."""
    try:
        return read_controls(Run.open(folder.path), experiment)
    except Exception as e:  # noqa: BLE001 the run is over and safe
        _log.exception("The controls could not be read")
        return {"error": {"says": f"The controls could not be read: {e!r}"}}


def visits(
    folder: RunFolder, experiment: Experiment, scores: dict[str, Any]
) -> dict[str, Any]:
    """Return what became of hits that were to be revisited; ``{}`` without any."""
    try:
        return read_visits(Run.open(folder.path), experiment, scores)
    except Exception as e:  # noqa: BLE001 the run is over and safe
        _log.exception("The visits could not be read")
        return {"error": {"says": f"The visits could not be read: {e!r}"}}


def summarise_and_draw(folder: RunFolder) -> dict[str, Any]:
    """Return the summary of the run in a folder and draw its picture."""
    run = Run.open(folder.path)
    summary = summarise(run)
    try:
        draw_summary(run, folder.picture)
    except Exception as e:  # noqa: BLE001 the run is over and safe
        _log.exception("The picture could not be drawn")
        summary["picture_error"] = repr(e)
    return summary
