"""What a restarted analysis goes on from: as of the whole journal, and kept small."""

from __future__ import annotations

import random
from typing import Any

import pytest

from smartscope.reflex import Past, Seed, past

PLACES = ("p0", "p1")
KINDS = ("burst", "series", "move_series", "end_series", "set_interval")


def decision(number: int, frame: int, place: str, kind: str, **more: Any) -> Any:
    """The line of a decision; of ``of`` the series it steers."""
    wish: dict[str, Any] = {"place": place, "kind": kind, "track_id": -1}
    if kind == "set_interval":
        wish["interval_s"] = 5.0
    elif kind == "end_series":
        wish |= {"series": more["of"], "why": "drawn"}
    else:
        wish |= {"x_um": 0.0, "y_um": 0.0}
        if kind == "burst":
            wish |= {"frames": 3, "exposure_ms": 1.0}
        elif kind == "series":
            wish |= {"interval_s": 5.0, "visits": 3, "exposure_ms": 1.0}
        else:
            wish["series"] = more["of"]
    verdict = more.get("verdict", "granted")
    return {
        "decision_id": f"{frame}/{number}",
        "frame_id": frame,
        "time_s": float(frame),
        "handed_over_s": 0.0,
        "policy": more.get("policy", "a"),
        "priority": 0,
        "wish": wish,
        "granted": wish if verdict == "granted" else None,
        "verdict": verdict,
        "reason": "drawn",
    }


def occurrence(number: int, frame: int, place: str, ids: tuple[int, ...]) -> Any:
    return {
        "occurrence_id": f"{frame}.{number}",
        "name": "split" if len(ids) > 1 else "bright",
        "kind": "brighten",
        "place": place,
        "x_um": 0.0,
        "y_um": 0.0,
        "onset_s": float(frame),
        "seen_s": float(frame),
        "confidence": 1.0,
        "track_ids": ids,
        "frame_ids": (frame,),
    }


def analysed(frame: int, place: str, tracks: tuple[int, ...], **more: Any) -> Any:
    track = {"x_um": 0.0, "y_um": 0.0, "first_seen_s": 0.0, "last_seen_s": 0.0}
    return {
        "frame_id": frame,
        "place": place,
        "time_s": float(frame),
        "light_ms_percent": 1.0 * frame,
        "tracks": [{"track_id": i, "place": place, **track} for i in tracks],
        "next_track_id": max((*tracks, -1)) + 1,
        "_decisions": more.get("decisions", []),
        "_occurrences": more.get("occurrences", []),
    }


def outcome(decision_id: str, time_s: float, status: str = "done") -> Any:
    return {
        "decision_id": decision_id,
        "status": status,
        "reason": "drawn",
        "time_s": time_s,
        "frames": 0,
    }


@pytest.mark.parametrize("number", range(40))
def test_it_seeds_as_the_whole_journal_does(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = random.Random(number)
    monkeypatch.setattr(past, "_SPARE", 3)
    kept = Past()
    lines: list[Any] = []
    decisions: list[Any] = []
    outcomes: list[Any] = []
    occurrences: list[Any] = []
    series: list[str] = []
    open_: list[str] = []
    next_id = 0
    alive: dict[str, list[int]] = {place: [] for place in PLACES}
    for frame in range(drawn.randrange(60)):
        place = drawn.choice(PLACES)
        new: list[Any] = []
        for i in range(drawn.randrange(3)):
            kind = drawn.choice(KINDS if series else KINDS[:2])
            new.append(
                decision(
                    i,
                    frame,
                    place,
                    kind,
                    of=drawn.choice(series) if series else "",
                    verdict=drawn.choice(["granted", "refused", "sham"]),
                    policy=drawn.choice("ab"),
                )
            )
            if new[-1]["granted"]:
                open_.append(new[-1]["decision_id"])
                if kind == "series":
                    series.append(open_[-1])
        # a track that has ended does not come back
        before = alive[place]
        born = range(next_id, next_id + drawn.randrange(3))
        next_id += len(born)
        alive[place] = [i for i in before if drawn.random() < 0.8] + list(born)
        there = sorted({*before, *born})
        happened = [
            occurrence(i, frame, place, tuple(drawn.sample(there, 1 + 2 * i)))
            for i in range(drawn.randrange(3))
            if len(there) > 2 * i
        ]
        line = analysed(
            frame, place, tuple(alive[place]), decisions=new, occurrences=happened
        )
        line["next_track_id"] = next_id
        lines.append(line)
        decisions += new
        occurrences += happened
        kept.analysed(line)
        while open_ and drawn.random() < 0.5:
            done = outcome(open_.pop(drawn.randrange(len(open_))), frame + 0.5)
            outcomes.append(done)
            kept.outcome(done)
    whole = Seed.from_records(
        lines, decisions, occurrences=occurrences, outcomes=outcomes
    )
    assert kept.seed() == whole


def test_a_series_of_long_ago_is_still_known() -> None:
    kept = Past()
    begun = decision(0, 0, "p0", "series", policy="lapse")
    kept.analysed(analysed(0, "p0", (), decisions=[begun]))
    most = 0
    for frame in range(1, 6000):
        burst = decision(0, frame, "p0", "burst", policy="quick")
        again = decision(1, frame, "p0", "series", policy="lapse", verdict="sham")
        seen = occurrence(0, frame, "p0", (frame,))
        kept.analysed(
            analysed(
                frame, "p0", (frame,), decisions=[burst, again], occurrences=[seen]
            )
        )
        kept.outcome(outcome(f"{frame}/0", frame + 0.1))
        most = max(most, len(kept))
    known = [d.decision_id for d in kept.seed().decisions]
    assert known == ["0/0", "5999/0", "5999/1"]
    assert most < 1100


def test_what_steers_a_series_is_dropped_with_it() -> None:
    begun = decision(0, 0, "p0", "series")
    moved = decision(0, 1, "p0", "move_series", of="0/0")
    lines = [analysed(0, "p0", ()), analysed(1, "p0", ())]
    under_way = Seed.from_records(lines, [begun, moved], outcomes=[])
    assert [d.decision_id for d in under_way.decisions] == ["0/0", "1/0"]
    over = Seed.from_records(lines, [begun, moved], outcomes=[outcome("0/0", 0.5)])
    assert [d.decision_id for d in over.decisions] == ["0/0"]
