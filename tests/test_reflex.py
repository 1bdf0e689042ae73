"""Frames to decisions: a pure function of frames, outcomes and seeds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState, Limits
from smartscope.errors import UNTOUCHED, Refused
from smartscope.inference import Corrections
from smartscope.recognition import Detections, detections_at
from smartscope.reflex import Reaction, Reflex, Seed, looked_at
from smartscope.response import Burst, MoveStage, Outcome, SetInterval
from smartscope.settings import Experiment

PIXEL_UM = 0.5
CONTENT: dict[str, Any] = {
    "survey": {"time_plan": {"interval": 60, "loops": 30}},
    "analysis": {
        "occurrences": {
            "mitosis": {"kind": "brighten"},
            "division": {"kind": "split", "after": "mitosis"},
        }
    },
    "response": [
        {"policy": "follow", "on": "mitosis"},
        {"policy": "burst", "on": "division", "frames": 20, "cool_down_s": 600},
        {"policy": "interval", "on": "mitosis", "slow_s": 60, "fast_s": 5},
        {"policy": "adapt_exposure", "target_snr": 20},
    ],
    "limits": {"burst_frames": 15, "light_ms_percent": 1e6},
}


class BrightSquares:
    """Finds the 5 × 5 squares of `scene` by their bright middle pixel."""

    sha256 = "squares"

    def detect(self, frame: Frame) -> Detections:
        inside = frame.pixels[2:-2, 2:-2]
        corners = frame.pixels[:-4, :-4], frame.pixels[4:, 4:]
        middle = (inside > 300) & (corners[0] > 300) & (corners[1] > 300)
        return detections_at(frame, np.argwhere(middle) + 2, radius_px=3)


def scene(i: int, at: tuple[float, float]) -> np.ndarray:
    """Four cells; the first is bright from frame 7 on and two from frame 11 on."""
    rng = np.random.default_rng(i)
    image = rng.normal(100, 3, (128, 128))
    level = 900 if i >= 7 else 400
    first = [(40, 40)] if i < 11 else [(40, 34), (40, 46)]
    cells = [*((p, level) for p in first), ((90, 40), 400), ((40, 90), 400)]
    for (row, column), counts in cells:
        row -= round(at[1] / PIXEL_UM)
        column -= round(at[0] / PIXEL_UM)
        image[row - 2 : row + 3, column - 2 : column + 3] += counts
    return np.rint(image).astype(np.uint16)


def frames(n: int = 20) -> list[Frame]:
    return [
        Frame(
            scene(i, at := (0.0, 0.0) if i < 9 else (-10.0, -10.0)),
            MDAEvent(index={"t": i, "p": 0}),
            i,
            60.0 * i + 0.1,
            1000.0 + 60 * i,
            "p0",
            FrameState(*at, 0.0, 20.0, "FITC", PIXEL_UM),
            light_ms_percent=2000.0 * (i + 1) + (3e4 if i > 12 else 0),
        )
        for i in range(n)
    ]


def experiment(**changes: Any) -> Experiment:
    return Experiment.parse({**CONTENT, **changes})


def reflex(**changes: Any) -> Reflex:
    return Reflex(experiment(**changes), Limits(), BrightSquares())


def plain(reaction: Reaction) -> dict[str, Any]:
    """Everything it says, without the durations."""
    record = reaction.to_record()
    record.pop("timings_ms")
    record["_occurrences"] = [o.to_record() for o in reaction.occurrences]
    record["_decisions"] = [d.to_record() for d in reaction.decisions]
    return json.loads(json.dumps(record, allow_nan=False))


def run(one: Reflex, given: list[Frame]) -> list[dict[str, Any]]:
    """Step through frames; every grant has been done when the next frame comes."""
    told = []
    for frame in given:
        reaction = one.step(frame)
        told.append(plain(reaction))
        for d in reaction.decisions:
            if d.granted is not None:
                done = Outcome(
                    decision_id=d.decision_id,
                    status="done",
                    reason="it ran",
                    time_s=frame.time_s + 1,
                )
                one.take(done)
    return told


def through_the_journal(frame: Frame) -> Frame:
    return Frame.from_header(json.loads(frame.encode_header()), frame.pixels)


def test_a_division_is_followed_caught_and_told() -> None:
    one = reflex()
    reactions = [one.step(frame) for frame in frames()]
    told = [(o.name, r.frame_id) for r in reactions for o in r.occurrences]
    assert told == [("mitosis", 8), ("division", 11)]
    wishes = {
        r.frame_id: {d.policy: d for d in r.decisions}
        for r in reactions
        if r.occurrences
    }
    follow = wishes[8]["follow"]
    assert isinstance(follow.granted, MoveStage)
    assert follow.granted.x_um == pytest.approx((40 - 63.5) * PIXEL_UM, abs=0.3)
    assert follow.occurrence_ids == ("8.0",)
    assert isinstance(wishes[8]["interval"].granted, SetInterval)
    burst = wishes[11]["burst"]
    assert burst.verdict == "clipped"
    assert isinstance(burst.granted, Burst)
    assert burst.granted.frames == 15  # the experiment's limit
    assert burst.model_sha256 == "squares"
    assert any("brighter daughter" in remark for remark in reactions[11].remarks)
    assert {d.policy for d in reactions[3].decisions} == {"adapt_exposure"}
    assert set(reactions[3].timings_ms) == {"inference", "recognition", "response"}
    assert not any(r.failures for r in reactions)


def test_not_acting_is_on_record_too() -> None:
    told = run(reflex(response=[]), frames())
    assert told[11]["occurrences"] == ["11.0"]
    assert [r["decisions"] for r in told] == [[]] * len(told)


def test_the_same_frames_and_inputs_give_the_same_records() -> None:
    first = run(reflex(), frames())
    assert first == run(reflex(), frames())
    assert first == run(reflex(), [through_the_journal(f) for f in frames()])
    assert sum(len(r["_decisions"]) for r in first) > 5


def test_in_shadow_all_is_decided_and_nothing_granted() -> None:
    decisions = [
        d for record in run(reflex(shadow=True), frames()) for d in record["_decisions"]
    ]
    assert {d["verdict"] for d in decisions} == {"shadowed"}
    assert {d["granted"] for d in decisions} == {None}


def test_it_wants_its_channel_and_bursts_only_if_asked() -> None:
    (frame,) = frames(1)
    burst = Frame.from_header({**frame.header(), "origin": "burst"}, frame.pixels)
    one = reflex()
    assert (one.wants(frame), one.wants(burst)) == (True, False)
    other = reflex(analysis={"channel": "DAPI", "bursts": True}, response=[])
    assert (other.wants(frame), other.wants(burst)) == (False, False)
    both = reflex(analysis={"channel": "FITC", "bursts": True}, response=[])
    assert (both.wants(frame), both.wants(burst)) == (True, True)


class Faulty(BrightSquares):
    """Does badly what it is told to, at the frames it is told."""

    def __init__(self, fault: Any, at: set[int]) -> None:
        self.fault, self.at = fault, at

    def detect(self, frame: Frame) -> Detections:
        found = super().detect(frame)
        if frame.frame_id not in self.at:
            return found
        if isinstance(self.fault, Exception):
            raise self.fault
        return self.fault(found)


def with_nan(found: Detections) -> Detections:
    found.centers_um[0] = np.nan
    return found


def far_too_many(found: Detections) -> Detections:
    pick = np.zeros(5001, int)
    return Detections(
        *(
            getattr(found, name)[pick]
            for name in Detections.__dataclass_fields__
            if name not in ("class_names", "polygons", "labels")
        )
    )


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (ValueError("no"), "ValueError: no"),
        (lambda found: [1, 2], "returned list"),
        (with_nan, "centers_um are not all finite"),
        (far_too_many, "5001 things"),
    ],
)
def test_a_detector_that_fails_costs_its_frame_and_nothing_else(
    fault: Any, told: str
) -> None:
    one = Reflex(experiment(), Limits(), Faulty(fault, {5, 9}))
    all_told = run(one, frames())
    (failure,) = all_told[5]["failures"]
    assert told in failure
    assert all_told[5]["_decisions"] == all_told[5]["_occurrences"] == []
    assert all_told[5]["tracks"] == all_told[4]["tracks"]
    # as if the two frames had not been taken
    left = [f for f in frames() if f.frame_id not in {5, 9}]
    expected = run(Reflex(experiment(), Limits(), BrightSquares()), left)
    assert [r for i, r in enumerate(all_told) if i not in {5, 9}] == expected


def split_records(
    records: list[dict[str, Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    return (
        [{**r, "kind": "analysed", "seq": i} for i, r in enumerate(records)],
        [{**d, "kind": "decision"} for r in records for d in r["_decisions"]],
        [{**o, "kind": "occurrence"} for r in records for o in r["_occurrences"]],
    )


@pytest.mark.parametrize("at", [0, 6, 10, 13, 17])
def test_a_restarted_reflex_goes_on_from_the_journal(at: int) -> None:
    whole = run(reflex(), frames())
    analysed, decisions, occurrences = split_records(whole[:at])
    done = [
        {
            "kind": "outcome",
            "decision_id": d["decision_id"],
            "status": "done",
            "reason": "it ran",
            "time_s": d["time_s"] + 1,
        }
        for d in decisions
    ]
    seed = Seed.from_records(
        analysed, decisions, occurrences=occurrences, outcomes=done
    )
    assert Seed.model_validate_json(seed.model_dump_json()) == seed
    fresh = reflex()
    run(fresh, frames(4))  # whatever it knew before is dropped
    fresh.seed(seed)
    again = run(fresh, frames()[at:])
    keys = ("occurrences", "failures", "next_track_id", "light_ms_percent")
    for ours, theirs in zip(again, whole[at:], strict=True):
        for key in keys:
            assert ours[key] == theirs[key], (at, ours["frame_id"], key)
        assert [(d["policy"], d["granted"]) for d in ours["_decisions"]] == [
            (d["policy"], d["granted"]) for d in theirs["_decisions"]
        ]
        assert [t["track_id"] for t in ours["tracks"]] == [
            t["track_id"] for t in theirs["tracks"]
        ]
        assert [t["light_ms_percent"] for t in ours["tracks"]] == [
            t["light_ms_percent"] for t in theirs["tracks"]
        ]
    # and a replay of the restart does the same
    twin = reflex()
    twin.seed(Seed.model_validate_json(seed.model_dump_json()))
    assert run(twin, frames()[at:]) == again


def test_a_burst_without_an_outcome_is_still_owed_after_a_restart() -> None:
    # one burst of 15 frames takes 30 000
    tight = {"limits": {"light_ms_percent": 75_000, "burst_frames": 15}}
    whole = [plain(r) for r in map(reflex(**tight).step, frames(12))]
    analysed, decisions, _ = split_records(whole)
    assert whole[-1]["_decisions"][1]["wish"]["kind"] == "burst"
    seed = Seed.from_records(analysed, decisions)
    assert [d.wish.kind for d in seed.decisions].count("burst") == 1
    earlier = Seed.from_records(analysed[:5], decisions)
    assert earlier.next_track_id == seed.next_track_id - 2


def test_a_policy_that_answers_nothing_known_is_refused() -> None:
    with pytest.raises(Refused, match="Did you mean 'mitosis'"):
        reflex(response=[{"policy": "follow", "on": "mitoses"}])


def test_a_seed_carries_the_last_statistics_of_a_series() -> None:
    lines = [
        {"place": "p0", "tracks": [], "light_ms_percent": 0.0, **said}
        for said in (
            {"normalisation": {"detect": {"FITC": {"first": 0.1 + 0.2}}}},
            {},
            {"normalisation": {"detect": {"FITC": {"first": 1 / 3}}}},
            {},
        )
    ]
    seed = Seed.from_records(lines, [])
    assert seed.normalisation == {"detect": {"FITC": {"first": 1 / 3}}}
    again = Seed.model_validate(json.loads(seed.model_dump_json()))
    assert again == seed, "exactly"
    assert Seed.from_records(lines, [], normalisation={}).normalisation == {}
    assert Seed.from_records([], []).normalisation == {}
    # a run of before there were series
    assert Seed.model_validate({"next_track_id": 3}).normalisation == {}


@pytest.mark.parametrize(
    ("channels", "presets", "corrected", "together"),
    [
        ((), (), False, [("",)]),
        ((), ("FITC", "DAPI"), False, [("FITC",)]),
        ((), ("FITC", "DAPI", "FITC"), True, [("FITC",), ("DAPI",)]),
        (("DAPI",), ("FITC", "DAPI"), True, [("DAPI",)]),
        (("DAPI", "FITC"), ("FITC", "DAPI"), True, [("DAPI", "FITC")]),
    ],
)
def test_what_is_warmed_up(
    channels: tuple[str, ...],
    presets: tuple[str, ...],
    corrected: bool,
    together: list[tuple[str, ...]],
) -> None:
    assert looked_at(channels, presets, corrected) == together


def test_a_frame_without_two_axes_fails_and_nothing_else() -> None:
    """A colour camera: the survey goes on, and it is told."""
    one = Reflex(experiment(), Limits())
    grey, colour = frames(2)
    colour = replace(colour, pixels=np.zeros((3, 128, 128), np.uint16))
    before = one.step(grey)
    told = one.step(colour)
    assert told.failures
    assert told.tracks == before.tracks


def test_a_frame_that_does_not_fit_says_nothing_of_the_time_before_the_run() -> None:
    flat = {"": np.ones((64, 64), np.float32)}
    one = Reflex(experiment(), Limits(), corrections=Corrections(None, flat))
    (told,) = one.step(frames(1)[0]).failures
    assert "The flat field has 64 × 64 pixels" in told
    assert UNTOUCHED not in told
