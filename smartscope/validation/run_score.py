"""The scores of a run, as they are written into its run.json."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from smartscope.recognition import Occurrence
from smartscope.settings import EqualLightSettings
from smartscope.validation.equal_light import equal_light
from smartscope.validation.scoring import score_occurrences
from smartscope.validation.view import views

if TYPE_CHECKING:
    from smartscope.simulation import Truth


def score_run(
    headers: Iterable[Mapping[str, Any]],
    occurrences: Iterable[Occurrence | Mapping[str, Any]],
    truth: Truth,
    *,
    answered: Collection[str] = (),
    caught: EqualLightSettings | None = None,
) -> dict[str, Any]:
    """Score what a run recognised and where it spent its light.

    Parameters
    ----------
    headers : iterable of Mapping
        Of all frames of the run.
    occurrences : iterable of Occurrence or Mapping
        As recognised, or as ``Run.occurrences``.
    truth : Truth
        What truly happened, on the run's clock.
    answered : collection of str
        Names of the occurrences that bursts answer: the events whose course the run
        set out to catch in detail. Empty: all.
    caught : EqualLightSettings, optional
        When an event counts as caught with baseline.

    Returns
    -------
    dict
        That of ``score_occurrences``, and as ``equal_light`` that of ``equal_light``
        over the events between the run's first and last frame.
    """
    caught = caught or EqualLightSettings()
    taken = views(headers)
    recognised = [
        o if isinstance(o, Occurrence) else Occurrence.model_validate(o)
        for o in occurrences
    ]
    began_s = taken[0].time_s if taken else 0.0
    ended_s = taken[-1].time_s if taken else 0.0
    happened = [
        e
        for e in truth.events
        if began_s <= e.t_s <= ended_s
        and e.kind in truth.names
        and (not answered or truth.names[e.kind] in answered)
    ]
    return {
        **score_occurrences(recognised, truth, (v for v in taken if v.survey)),
        "equal_light": equal_light(
            taken,
            happened,
            duration_s=ended_s - began_s,
            frames_needed=caught.frames,
            window_s=caught.within_s,
            baseline_frames=caught.baseline_frames,
            baseline_s=caught.baseline_s,
        ),
    }
