"""Whether cells can be followed as the experiment asks: planes, places pointed at."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING

from smartscope.acquisition import EventTag
from smartscope.errors import nearest
from smartscope.preflight.survey_walk import MOST_EVENTS
from smartscope.response import FollowSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import useq

    from smartscope.response import Target
    from smartscope.settings import Experiment


def wrong_following(
    experiment: Experiment, targets: Collection[Target]
) -> Iterator[str]:
    """Yield what keeps cells from being followed.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    targets : collection of Target
        Where a person has pointed at before the run.
    """
    in_z = [
        (i, policy.z)
        for i, policy in enumerate(experiment.response)
        if isinstance(policy, FollowSettings) and policy.z is not None
    ]
    if not in_z and not targets:
        return
    planes = _planes(experiment.survey)
    for i, z in in_z:
        others = {n for n in planes.values() if n != z.planes}
        if others:
            counts = " or ".join(map(str, sorted(others)))
            yield (
                f"response.{i}.z.planes: the survey takes {counts} planes at a place, "
                f"not {z.planes}. Give it a z_plan of {z.planes} planes, or correct "
                "the number."
            )
    if targets and not experiment.follows_clicks:
        yield (
            "--target: no policy follows a cell that is pointed at. Add {policy: "
            "follow, choose: click} to 'response'."
        )
    for target in targets:
        if target.place not in planes:
            yield (
                f"--target {target.place}: the survey has no place of that name."
                f"{nearest(target.place, planes)} It has: {', '.join(planes)}."
            )


def _planes(survey: useq.MDASequence) -> dict[str, int]:
    """Return the number of planes of each place, by its name."""
    found: dict[str, set[int]] = defaultdict(set)
    first_only = survey.axis_order[:1] == ("t",)
    for event in islice(survey, MOST_EVENTS):
        if first_only and event.index.get("t", 0) > 0:
            break
        found[EventTag.of_survey(event).place].add(event.index.get("z", 0))
    return {place: len(indices) for place, indices in found.items()}
