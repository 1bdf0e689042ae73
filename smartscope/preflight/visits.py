"""Visits with another objective: possible on this microscope, and in what time."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

from smartscope.acquisition import EventTag, Limits, Objective, TurretRules
from smartscope.errors import LimitBroken, nearest
from smartscope.response import VisitSettings
from smartscope.settings import names_by_place

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import useq

    from smartscope.microscope import Microscope
    from smartscope.preflight.orders import Orders
    from smartscope.settings import Experiment

# of a survey of many more places the first ones
_MOST_EVENTS = 20_000
_SHOWN = 3
# what the stage takes between two stops, where nothing says how fast it is
_BETWEEN_S = 1.0


def wrong_visits(
    experiment: Experiment,
    microscope: Microscope,
    orders: Orders,
    exposures_ms: Collection[float],
) -> Iterator[str]:
    """Yield why visits could only be refused, or never be made as they are asked for.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    microscope : Microscope
        Open.
    orders : Orders
        What the microscope can be told.
    exposures_ms : Collection of float
        Of the survey's frames; a visit without one takes that of the frame.
    """
    for i, policy in enumerate(experiment.response):
        if not isinstance(policy, VisitSettings):
            continue
        where = f"response.{i}"
        for channel in policy.channels:
            if wrong := orders.channel(channel):
                yield f"{where}.channels: {wrong}"
        if policy.exposure_ms is not None and (
            wrong := orders.within("exposure_ms", policy.exposure_ms)
        ):
            yield f"{where}.exposure_ms: {wrong}"
        if wrong := orders.xy():
            yield f"{where}: {wrong}"
        if wrong := orders.z():
            yield f"{where}: {wrong}"
        yield from _too_bright(policy, where, orders, exposures_ms)
        yield from _wrong_groups(policy, where, experiment.survey)
        if policy.when == "round" and not _has_rounds(experiment.survey):
            yield (
                f"{where}.when: the survey has no rounds: time is not its outermost "
                "axis. Put 't' first in its axis_order, or take {hits: n} or end."
            )
        if policy.objective is not None:
            wrong_turn = list(_wrong_objective(policy.objective, where, microscope))
            yield from wrong_turn
            if not wrong_turn:
                yield from _out_of_reach(policy, where, experiment.survey, microscope)
        longest = experiment.longest_wait_s
        tour_s = _tour_s(policy, microscope, exposures_ms, _at_once(policy))
        if longest is not None and tour_s is not None and tour_s > longest:
            yield (
                f"{where}: a tour of {_at_once(policy)} visits takes about "
                f"{tour_s:.0f} s, and longest_wait_s lets the survey wait "
                f"{longest:g} s. Give per_tour, or a longer wait."
            )


def visit_notices(
    experiment: Experiment, microscope: Microscope, exposures_ms: Collection[float]
) -> Iterator[str]:
    """Yield how long the visits will take, and which places have none."""
    for policy in experiment.response:
        if not isinstance(policy, VisitSettings):
            continue
        one_s = _one_s(policy, exposures_ms)
        turn_s = _turn_s(policy, microscope)
        told = f"{policy.label}: a visit takes about {one_s:.3g} s"
        if policy.objective is not None:
            told += f", turning there and back about {turn_s:.3g} s a tour"
        if policy.most is not None:
            tours = _most_tours(policy, policy.most, experiment.survey)
            total_s = policy.most * one_s + tours * turn_s
            told += f"; {policy.most} visits in up to {tours} tours, {total_s:.3g} s"
        yield told + ". The estimate of the survey is without them."
        if policy.groups:
            names = names_by_place(experiment.survey)
            members = {m for group in policy.groups.values() for m in group}
            left = [p for p, called in names.items() if not members & set(called)]
            if left:
                more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
                yield (
                    f"{policy.label}: hits at {', '.join(left[:_SHOWN])}{more} are "
                    "not visited: these places are in none of its groups."
                )


def visits_mb(experiment: Experiment, orders: Orders) -> float:
    """Return how much disk the visits take; of those without a bound, a tour's."""
    frames = sum(
        (policy.most or _at_once(policy)) * _frames(policy)
        for policy in experiment.response
        if isinstance(policy, VisitSettings)
    )
    return frames * len(orders.cameras) * orders.bytes_per_frame / 1e6


def _wrong_objective(label: str, where: str, microscope: Microscope) -> Iterator[str]:
    where = f"{where}.objective"
    rules, core = microscope.turret, microscope.core
    name = microscope.name
    if rules is None:
        yield (
            f"{where}: '{name}' does not say how its objectives differ. Give "
            f'[turret] and [objectives."{label}"] in the microscope\'s file.'
        )
        return
    labels = [str(each) for each in core.getStateLabels(rules.device)]
    if label not in labels:
        yield (
            f"{where}: '{name}' has no objective '{label}'.{nearest(label, labels)} It "
            f"has: {', '.join(labels)}."
        )
        return
    if label == str(core.getStateLabel(rules.device)):
        return
    if not rules.may_turn:
        yield (
            f"{where}: the turret of '{name}' is not turned: an objective could hit "
            "the sample. Permit it with may_turn and safe_z_um under [turret] of the "
            "microscope's file."
        )
    elif rules.safe_z_um is not None and (
        why := _broken(microscope.limits, "z_um", rules.safe_z_um)
    ):
        yield (
            f"{where}: the focus goes to safe_z_um {rules.safe_z_um:g} while the "
            f"turret turns, and {why}"
        )
    if label not in rules.objectives:
        yield (
            f"{where}: how '{label}' differs is not known. Give parfocal_um and "
            f'parcentric_um under [objectives."{label}"] of the microscope\'s file.'
        )
    elif not rules.of(label).pixel_size_um > 0:
        yield (
            f"{where}: the pixel size with '{label}' is not known. Give it under "
            "[pixel_size_um] of the microscope's file."
        )


def _wrong_groups(
    policy: VisitSettings, where: str, survey: useq.MDASequence
) -> Iterator[str]:
    if not policy.groups:
        return
    names = names_by_place(survey)
    known = {name for called in names.values() for name in called}
    for group, members in policy.groups.items():
        for member in members:
            if member not in known:
                some = sorted(known)[:12]
                yield (
                    f"{where}.groups.{group}: the survey has no place '{member}'."
                    f"{nearest(member, known)} It has: {', '.join(some)}"
                    f"{' …' if len(known) > len(some) else ''}."
                )
    for place, called in names.items():
        twice = [
            g for g, members in policy.groups.items() if set(members) & set(called)
        ]
        if len(twice) > 1:
            yield f"{where}.groups: {place} is in two groups, {' and '.join(twice)}."


def _has_rounds(survey: useq.MDASequence) -> bool:
    used = [a for a in survey.axis_order if a in survey.used_axes]
    return "t" not in used or used[0] == "t"


def _out_of_reach(
    policy: VisitSettings,
    where: str,
    survey: useq.MDASequence,
    microscope: Microscope,
) -> Iterator[str]:
    """Yield places whose surroundings the stages may not show with the objective."""
    rules = microscope.turret
    if rules is None or policy.objective is None:
        return
    objective, start = rules.of(policy.objective), _start(rules, microscope)
    scale = 1.0
    if start.pixel_size_um > 0 and objective.pixel_size_um > 0:
        scale = objective.pixel_size_um / start.pixel_size_um
    rows, columns = microscope.camera_shape()
    # hits lie anywhere in the field of the survey, but for half a field of the visit
    edge_um = (1 - scale) / 2 * max(rows, columns) * microscope.core.getPixelSizeUm()
    half_um = (policy.z_planes - 1) / 2 * policy.z_step_um
    x, y, z = _where_now(microscope)
    outside: dict[str, list[str]] = {}
    seen: set[tuple[str, float]] = set()
    for event in islice(iter(survey), _MOST_EVENTS):
        x = x if event.x_pos is None else event.x_pos
        y = y if event.y_pos is None else event.y_pos
        z = z if event.z_pos is None else event.z_pos
        place = EventTag.of_survey(event).place
        if (place, z) in seen:
            continue
        seen.add((place, z))
        dx, dy = objective.parcentric_um
        dz = objective.parfocal_um
        ends = (
            ("x_um", x + dx - edge_um, x + dx + edge_um),
            ("y_um", y + dy - edge_um, y + dy + edge_um),
            ("z_um", z + dz - half_um, z + dz + half_um),
        )
        for name, low, high in ends:
            for limits in (microscope.limits, objective.limits):
                if why := _broken(limits, name, low) or _broken(limits, name, high):
                    places = outside.setdefault(why, [])
                    if place not in places:
                        places.append(place)
    for why, places in outside.items():
        more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
        yield (
            f"{where}.objective: with '{policy.objective}' hits about "
            f"{', '.join(places[:_SHOWN])}{more} could not all be reached: {why}"
        )


def _broken(limits: Limits, name: str, value: float) -> str:
    try:
        limits.check(name, value)
    except LimitBroken:
        low, high = getattr(limits, name)
        return f"{name} would leave the limits {low:g} to {high:g}."
    return ""


def _start(rules: TurretRules, microscope: Microscope) -> Objective:
    return rules.of(str(microscope.core.getStateLabel(rules.device)))


def _where_now(microscope: Microscope) -> tuple[float, float, float]:
    core = microscope.core
    x, y = core.getXYPosition() if core.getXYStageDevice() else (0.0, 0.0)
    z = core.getPosition() if core.getFocusDevice() else 0.0
    return float(x), float(y), float(z)


def _too_bright(
    policy: VisitSettings,
    where: str,
    orders: Orders,
    exposures_ms: Collection[float],
) -> Iterator[str]:
    exposure_ms = policy.exposure_ms or min(exposures_ms, default=0.0)
    light = sum(
        policy.frames
        * policy.z_planes
        * exposure_ms
        * orders.power_percent("", channel)
        for channel in policy.channels or ("",)
    )
    for limit in orders.light_limits_below(light):
        yield f"{where}: a single visit gives {light:g} ms·%, more than {limit}."


# -------------------------------------------------------------------- how long


def _frames(policy: VisitSettings) -> int:
    return max(1, len(policy.channels)) * policy.z_planes * policy.frames


def _at_once(policy: VisitSettings) -> int:
    """Return how many visits a tour has, as far as it is said; else 1."""
    many = policy.per_tour or policy.most or 1
    if not isinstance(policy.when, str):
        many = min(policy.when.hits, many if policy.per_tour else policy.when.hits)
    return many


def _most_tours(policy: VisitSettings, most: int, survey: useq.MDASequence) -> int:
    """Return in how many tours some visits are made, at most."""
    if policy.when == "round":
        return min(most, max(1, survey.sizes.get("t", 1)))
    return math.ceil(most / _at_once(policy))


def _one_s(policy: VisitSettings, exposures_ms: Collection[float]) -> float:
    exposure_s = (policy.exposure_ms or min(exposures_ms, default=0.0)) / 1e3
    taking_s = _frames(policy) * exposure_s
    return max(taking_s, (policy.frames - 1) * policy.interval_s) + _BETWEEN_S


def _turn_s(policy: VisitSettings, microscope: Microscope) -> float:
    """Return what turning there and back takes; of a real turret a guess."""
    if policy.objective is None:
        return 0.0
    if microscope.simulation is None:
        return 10.0
    ugly = microscope.simulation.settings.ugliness
    turn_s = (ugly.filter_ms if ugly.turret_ms is None else ugly.turret_ms) / 1e3
    rules = microscope.turret
    away_um = abs((rules.safe_z_um or 0.0) if rules is not None else 0.0)
    return 2 * (turn_s + 2 * away_um / ugly.z_speed_um_per_s)


def _tour_s(
    policy: VisitSettings,
    microscope: Microscope,
    exposures_ms: Collection[float],
    visits: int,
) -> float | None:
    """Return about how long a tour takes; None where its length is not bounded."""
    if policy.per_tour is None and policy.most is None and isinstance(policy.when, str):
        return None
    return visits * _one_s(policy, exposures_ms) + _turn_s(policy, microscope)
