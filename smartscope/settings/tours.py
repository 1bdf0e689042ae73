"""Which place lies in which well and condition: what quotas of visits count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import useq

from smartscope.acquisition import EventTag
from smartscope.response import TourPlan, VisitSettings, names_of

if TYPE_CHECKING:
    from smartscope.settings.experiment import Experiment


def names_by_place(survey: useq.MDASequence) -> dict[str, tuple[str, ...]]:
    """Return by what names each place of a survey may be called.

    The first one is what quotas count: the well, where the survey is of a plate, else
    the position, of which the tiles of a grid are parts, else the place.

    Parameters
    ----------
    survey : useq.MDASequence
        Its first round is gone through.
    """
    found: dict[str, tuple[str, ...]] = {}
    rounds = survey.axis_order[:1] == ("t",)
    plan = survey.stage_positions
    wells = (
        set(map(str, plan.selected_well_names))
        if isinstance(plan, useq.WellPlatePlan)
        else set()
    )
    several = survey.sizes.get("p", 0) > 1
    for event in survey:
        if rounds and event.index.get("t", 0) > 0:
            break
        place = EventTag.of_survey(event).place
        if place not in found:
            position = place.partition("g")[0] if several else place
            named = event.pos_name or ""
            # of several points in a well useq numbers the names
            well = next(
                (w for w in (named, named.rpartition("_")[0]) if w in wells), ""
            )
            every = (well, position, place, named)
            found[place] = tuple(dict.fromkeys(name for name in every if name))
    return found


def tour_plans(experiment: Experiment) -> dict[str, TourPlan]:
    """Return what the tours are like of each policy that visits, by its name."""
    policies = experiment.policies
    visits = [
        (name, policy)
        for name, policy in zip(names_of(policies), policies, strict=True)
        if isinstance(policy, VisitSettings)
    ]
    if not visits:
        return {}
    names = names_by_place(experiment.survey)
    units = {place: called[0] for place, called in names.items()}
    return {
        name: TourPlan(
            settings=policy,
            units=units,
            groups=dict(_grouped(policy, names)),
            seed=experiment.seed,
        )
        for name, policy in visits
    }


def _grouped(
    policy: VisitSettings, names: dict[str, tuple[str, ...]]
) -> Iterator[tuple[str, str]]:
    for group, members in policy.groups.items():
        for place, called in names.items():
            if set(members) & set(called):
                yield place, group
