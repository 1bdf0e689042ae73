"""What the controls of a run tell, one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smartscope.validation.dark_fields import compare_dark

if TYPE_CHECKING:
    from smartscope.settings import Experiment
    from smartscope.storage import Run


def read_controls(run: Run, experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Return what each control of a run tells; ``{}`` if it has none.

    Parameters
    ----------
    run : Run
        Ended, or broken off: then of what is there.
    experiment : Experiment
        As it was run, grids with their fields of view.

    Returns
    -------
    dict
        By the control's word, its numbers and ``says``: a sentence with an interval.
    """
    controls = experiment.controls
    told: dict[str, dict[str, Any]] = {}
    if controls.dark is not None:
        dark = experiment.dark_places()
        told["dark"] = compare_dark(run.frames, run.analysed, dark)
    return told
