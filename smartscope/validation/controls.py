"""What the controls of a run tell, one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smartscope.response import StimulateSettings
from smartscope.settings import control_policies, sham_policies
from smartscope.validation.audit import compare_audit
from smartscope.validation.burst_controls import (
    Course,
    compare_placebo,
    compare_sham,
)
from smartscope.validation.dark_fields import compare_dark
from smartscope.validation.stimulation_answers import compare_answers

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
        told["dark"] = compare_dark(run.taken, run.analysed, dark)
    if controls.audit is not None:
        told["audit"] = compare_audit(
            run.taken,
            run.analysed,
            run.occurrences,
            tolerance_s=controls.audit.tolerance_s,
            tolerance_um=controls.audit.tolerance_um,
        )
    if controls.placebo is None and controls.sham is None:
        return told
    shammed = experiment.sham_shares.keys()
    stimulating = {
        name
        for name, each in sham_policies((), experiment.response).items()
        if isinstance(each, StimulateSettings) and name in shammed
    }
    course = Course(
        frames=run.taken,
        analysed=run.analysed,
        occurrences=run.occurrences,
        decisions=run.decisions,
        outcomes=run.outcomes,
        signs=controls.signs,
        within_s=controls.within_s,
        within_um=controls.within_um,
    )
    if controls.placebo is not None:
        added = control_policies(controls, experiment.response, experiment.seed)
        names = {name: each.label for name, each in added.items() if name}
        told["placebo"] = compare_placebo(course, names)
    if controls.sham is not None:
        if bursting := shammed - stimulating:
            told["sham"] = compare_sham(course, bursting)
        if stimulating and controls.sham.answer is not None:
            told["stimulation"] = compare_answers(
                run.analysed,
                run.occurrences,
                run.decisions,
                run.outcomes,
                policies=stimulating,
                answer=controls.sham.answer,
                within_s=controls.sham.within_s or controls.within_s,
            )
    return told
