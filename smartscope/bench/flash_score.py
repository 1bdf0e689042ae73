"""Flashes against the truth: what sampling allows, what was caught, and how soon."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from smartscope.acquisition import sharpness
from smartscope.simulation import Simulated
from smartscope.simulation.fates import flash_profile
from smartscope.storage import Run

NAME = "flash"
# looks at a place before its cells are known well enough to flash
_KNOWN_AFTER = 6
_EDGE_UM = 15.0
_SAME_UM = 10.0
_AFTER_S = 1.0
_STEP_S = 0.01
# a frame of a burst is sharp if it is nearly as sharp as the middle one
_SHARP = 0.8


@dataclass(slots=True)
class FlashScore:
    """What became of the flashes of one run.

    Attributes
    ----------
    flashes, allowed, caught, false : int
        In a field that is looked at; of these, looked at above the threshold; of these,
        recognised; recognised without a flash.
    expected : list of float
        For each flash the chance that a look falls into its time above the threshold.
    rounds_s : list of float
        Time between two looks at its place, for each flash.
    """

    flashes: int = 0
    allowed: int = 0
    caught: int = 0
    false: int = 0
    expected: list[float] = field(default_factory=list)
    rounds_s: list[float] = field(default_factory=list)

    @staticmethod
    def summary(scores: Sequence[FlashScore]) -> dict[str, Any]:
        """Return sums, and shares of the sums."""
        flashes, allowed, caught, false = (
            sum(getattr(score, name) for score in scores)
            for name in ("flashes", "allowed", "caught", "false")
        )
        expected = [value for score in scores for value in score.expected]
        rounds_s = [value for score in scores for value in score.rounds_s]
        return {
            "flashes": flashes,
            "allowed": allowed,
            "limit": round(allowed / flashes, 4) if flashes else None,
            "limit_expected": round(float(np.mean(expected)), 4) if expected else None,
            "caught": caught,
            "caught_of_allowed": round(caught / allowed, 4) if allowed else None,
            "caught_of_allowed_by_seed": [
                round(s.caught / s.allowed, 4) if s.allowed else None for s in scores
            ],
            "false": false,
            "round_s": round(float(np.median(rounds_s)), 2) if rounds_s else None,
        }


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at a place: when, from where, which frame."""

    time_s: float
    x_um: float
    y_um: float
    frame_id: int


@dataclass(frozen=True, slots=True)
class _Shown:
    """A flash in a field that is looked at."""

    begin_s: float
    place: str
    where_um: tuple[float, float]
    looks: list[_Look]  # that show it above the threshold
    chance: float
    round_s: float


def score_flashes(run: Run, simulated: Simulated) -> FlashScore:
    """Count the flashes that could be seen, and those that were.

    Parameters
    ----------
    run : Run
        With an occurrence ``flash`` and one burst policy.
    simulated : Simulated
        The microscope, opened anew with the same specimen.
    """
    score = FlashScore()
    free = list(run.occurrences)
    lasts_s = simulated.settings.specimen.flash_s
    for flash in _shown(run, simulated):
        score.flashes += 1
        score.expected.append(flash.chance)
        score.rounds_s.append(flash.round_s)
        said = _said(free, flash, lasts_s)
        if said is not None:
            free.remove(said)
        score.allowed += bool(flash.looks)
        score.caught += bool(flash.looks) and said is not None
    # those of flashes that are not counted are not false
    every = list(_all(simulated))
    score.false = sum(
        not any(
            begin_s <= o["seen_s"] <= begin_s + lasts_s + _AFTER_S
            and math.dist(where, (o["x_um"], o["y_um"])) <= _SAME_UM
            for begin_s, where, _ in every
        )
        for o in free
    )
    return score


def reaction_ms(run: Run, simulated: Simulated) -> list[dict[str, float]]:
    """Return, for each burst that answers a flash, what took how long, in ms.

    From the hand-over of the first frame that could show the flash to that of the first
    sharp frame of the burst: ``other_looks`` until the frame it was recognised in,
    ``travel``, ``settling``, ``focus``, ``shutter``, ``rearm`` and ``exposure`` as the
    simulated devices take them, ``blurred`` frames of the burst, and ``ours``, which is
    all the rest: analysis, decision, orders, and whatever the computer did besides;
    ``decide`` is the part of it until the decision was back.
    """
    taken = {f["frame_id"]: f for f in run.taken}
    decide_ms = {line["frame_id"]: line["decide_ms"] for line in run.analysed}
    free = [o for o in run.occurrences if o["name"] == NAME]
    found = []
    for flash in _shown(run, simulated):
        said = _said(free, flash, simulated.settings.specimen.flash_s)
        if said is None or not flash.looks:
            continue
        free.remove(said)
        burst = _burst_of(run, said)
        if burst:
            seen = taken[max(said["frame_ids"])]
            first = taken[flash.looks[0].frame_id]
            parts = _parts_ms(run, simulated, first, seen, burst)
            found.append({**parts, "decide": decide_ms[seen["frame_id"]]})
    return found


def _parts_ms(
    run: Run,
    simulated: Simulated,
    first: Mapping[str, Any],
    seen: Mapping[str, Any],
    burst: Sequence[Mapping[str, Any]],
) -> dict[str, float]:
    ugly, autofocus = simulated.settings.ugliness, simulated.settings.autofocus
    begun = burst[0]
    before, there = seen["state"], begun["state"]
    way_um = math.dist((before["x_um"], before["y_um"]), (there["x_um"], there["y_um"]))
    moved = way_um > 0
    focuses = moved and autofocus.present and autofocus.on
    values = [sharpness(run.read(f["frame_id"])) for f in burst]
    enough = _SHARP * float(np.nanmedian(values))
    sharp = next(i for i, value in enumerate(values) if value >= enough)
    parts = {
        "other_looks": (seen["handed_over_s"] - first["handed_over_s"]) * 1e3,
        "travel": way_um / ugly.stage_speed_um_per_s * 1e3,
        "settling": ugly.settle_ms if moved else 0.0,
        "focus": autofocus.lock_ms if focuses else 0.0,
        "shutter": ugly.shutter_ms,
        "rearm": ugly.rearm_ms,
        "exposure": float(there["exposure_ms"]),
        "blurred": (burst[sharp]["handed_over_s"] - begun["handed_over_s"]) * 1e3,
        "in_all": (burst[sharp]["handed_over_s"] - first["handed_over_s"]) * 1e3,
    }
    known = sum(ms for name, ms in parts.items() if name != "in_all")
    return {**parts, "ours": parts["in_all"] - known}


def _burst_of(run: Run, said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the stored frames of the burst that answers an occurrence."""
    answers = {
        d["decision_id"]
        for d in run.decisions
        if said["occurrence_id"] in d["occurrence_ids"] and d["granted"] is not None
    }
    return [f for f in run.frames if f["decision_id"] in answers]


def _said(
    free: Sequence[dict[str, Any]], flash: _Shown, lasts_s: float
) -> dict[str, Any] | None:
    """Return the first occurrence that tells of a flash, None if there is none."""
    return next(
        (
            o
            for o in free
            if o["name"] == NAME
            and flash.begin_s <= o["seen_s"] <= flash.begin_s + lasts_s + _AFTER_S
            and math.dist(flash.where_um, (o["x_um"], o["y_um"])) <= _SAME_UM
        ),
        None,
    )


def _all(simulated: Simulated) -> Iterator[tuple[float, tuple[float, float], int]]:
    """Yield begin, place on the stage and cell of each flash."""
    truth = simulated.stand.drift.on_stage(
        simulated.specimen.truth(simulated.settings.specimen.duration_s)  # type: ignore[arg-type]
    )
    for number, event in enumerate(truth.events):
        if event.kind == NAME:
            yield event.t_s, (event.x_um, event.y_um), number


def _shown(run: Run, simulated: Simulated) -> Iterator[_Shown]:
    """Yield the flashes of cells that are wholly in a field while they flash."""
    threshold = float(run.experiment["analysis"]["occurrences"][NAME]["factor"])
    specimen = simulated.settings.specimen
    window = _above(specimen.flash_factor, specimen.flash_s, threshold)
    rows, columns = simulated.settings.sensor.shape
    looks = _looks(run)
    pixel_um = next(iter(run.taken))["state"]["pixel_size_um"]
    half = columns * pixel_um / 2 - _EDGE_UM, rows * pixel_um / 2 - _EDGE_UM
    for begin_s, where, _ in _all(simulated):
        for place, at_place in looks.items():
            times = [look.time_s for look in at_place]
            after = int(np.searchsorted(times, begin_s))
            if not _KNOWN_AFTER <= after < len(times) - 1:
                continue
            x, y = at_place[after].x_um, at_place[after].y_um
            if abs(where[0] - x) > half[0] or abs(where[1] - y) > half[1]:
                continue
            shows = [
                look
                for look in at_place[after : after + 10]
                if window[0] <= look.time_s - begin_s <= window[1]
            ]
            round_s = times[after] - times[after - 1]
            chance = min(1.0, (window[1] - window[0]) / round_s)
            yield _Shown(begin_s, place, where, shows, chance, round_s)
            break


def _looks(run: Run) -> dict[str, list[_Look]]:
    """Return the survey's looks by place; the time is that of the exposure's middle."""
    looks: dict[str, list[_Look]] = defaultdict(list)
    for frame in run.taken:
        if frame["origin"] == "survey":
            state = frame["state"]
            middle_s = frame["time_s"] - state["exposure_ms"] / 2e3
            looks[frame["place"]].append(
                _Look(middle_s, state["x_um"], state["y_um"], frame["frame_id"])
            )
    return looks


def _above(peak: float, lasts_s: float, threshold: float) -> tuple[float, float]:
    """Return from when to when a flash is at least so many times its baseline."""
    times = np.arange(0.0, lasts_s + _STEP_S, _STEP_S)
    bright = [
        t for t in times if 1 + (peak - 1) * flash_profile(t, lasts_s) >= threshold
    ]
    return (float(bright[0]), float(bright[-1])) if bright else (0.0, 0.0)
