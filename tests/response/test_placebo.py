"""Bursts at chance: drawn by a hash, and like those of the policy they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState, Limits
from smartscope.recognition import Detections, Occurrence, Track
from smartscope.response import (
    Arbiter,
    Burst,
    BurstSettings,
    Decision,
    Observation,
    PlaceboPolicySettings,
    Wish,
    drawn,
    load_policy,
)

BURST = BurstSettings(
    on=("mitosis",), frames=7, interval_s=2.0, channel="DAPI", roi_um=60
)
EMPTY = np.zeros((100, 100), np.uint16)


def placebo(share: float = 0.3, seed: int = 1) -> Any:
    settings = PlaceboPolicySettings(
        name="placebo of burst", burst=BURST, share=share, seed=seed
    )
    return load_policy(settings)


def observed(
    i: int,
    *,
    tracks: Sequence[int] = (),
    hits: Sequence[int] = (),
    origin: Any = "survey",
) -> Observation:
    state = FrameState(40.0, 50.0, 0.0, 10.0, "FITC", 1.0)
    frame = Frame(EMPTY, MDAEvent(), i, 60.0 * i, 0.0, "p0", state, origin=origin)
    lives = {
        n: Track(n, "p0", 10.0 * n, 1.0, 0.0, 60.0 * i, 5, 0, 1.0, 1.0, detection=n)
        for n in tracks
    }
    happened = tuple(
        Occurrence(
            occurrence_id=f"{i}.{n}",
            name="mitosis",
            kind="brighten",
            place="p0",
            x_um=0,
            y_um=0,
            onset_s=0,
            seen_s=60.0 * i,
            confidence=1,
            track_ids=(n,),
        )
        for n in hits
    )
    return Observation(frame, Detections.empty(), lives, happened)


def test_the_stated_share_is_drawn_and_the_same_again() -> None:
    drawn_first = [i for i in range(2000) if placebo().decide(observed(i))]
    drawn_again = [i for i in range(2000) if placebo().decide(observed(i))]
    assert drawn_first == drawn_again
    assert binomtest(len(drawn_first), 2000, 0.3).pvalue > 1e-4
    other = [i for i in range(2000) if placebo(seed=2).decide(observed(i))]
    assert other != drawn_first


def test_it_is_a_burst_of_its_policy_centred_on_a_thing_without_a_hit() -> None:
    chosen = set()
    policy = placebo(share=0.999)
    policy.decide(observed(0, tracks=[1, 2, 3], hits=[2]))
    for i in range(1, 200):
        (wish,) = policy.decide(observed(i, tracks=[1, 2, 3])) or [None]
        if wish is not None:
            chosen.add(wish.track_id)
            assert (wish.x_um, wish.y_um) == (10.0 * wish.track_id, 1.0)
            assert (wish.frames, wish.interval_s, wish.channel) == (7, 2.0, "DAPI")
            assert wish.exposure_ms == 10.0
            assert wish.roi_um == 60.0
    assert chosen == {1, 3}


def test_without_things_it_is_the_middle_of_the_field() -> None:
    (wish,) = placebo(share=0.999).decide(observed(1))
    assert (wish.track_id, wish.x_um, wish.y_um) == (-1, 40.0, 50.0)


@given(i=st.integers(0, 10_000))
def test_never_at_a_hit_and_only_from_the_survey(i: int) -> None:
    policy = placebo(share=0.999)
    assert policy.decide(observed(i, tracks=[1], hits=[1])) == []
    assert policy.decide(observed(i, tracks=[1], origin="burst")) == []


@given(seed=st.integers(0, 2**40), what=st.text(max_size=20), i=st.integers())
def test_what_is_drawn_lies_in_0_to_1(seed: int, what: str, i: int) -> None:
    assert 0 <= drawn(seed, what, i) < 1
    assert drawn(seed, what, i) == drawn(seed, what, i)


def test_what_is_drawn_is_uniform() -> None:
    counts, _ = np.histogram([drawn(0, "a", i) for i in range(20_000)], 20, (0, 1))
    # chi-square of 19 degrees of freedom: above 50 in 1 of 10 000 cases
    assert ((counts - 1000) ** 2 / 1000).sum() < 50


# sham -------------------------------------------------------------------------


def decided(i: int, arbiter: Arbiter, policy: str = "burst") -> Decision:
    action = Burst(place="p0", x_um=40, y_um=50, frames=5, exposure_ms=10)
    settings = BurstSettings(on=("mitosis",), cool_down_s=100)
    seen = observed(i, tracks=[1], hits=[1])
    (decision,) = arbiter.decide(seen, [Wish(policy, settings, action)])
    return decision


def test_a_stated_share_of_the_bursts_is_withheld_with_its_reason() -> None:
    verdicts = []
    for i in range(1000):
        decision = decided(i, Arbiter(Limits(), sham={"burst": 0.25}, seed=3))
        verdicts.append(decision.verdict)
        if decision.verdict == "sham":
            assert decision.granted is None
            assert decision.reason == (
                "sham, drawn by chance; otherwise granted: within all limits"
            )
    assert set(verdicts) == {"sham", "granted"}
    assert binomtest(verdicts.count("sham"), 1000, 0.25).pvalue > 1e-4


def test_only_bursts_of_the_named_policy_are_withheld() -> None:
    for i in range(50):
        arbiter = Arbiter(Limits(), sham={"burst": 0.999}, seed=3)
        assert decided(i, arbiter, "other").verdict == "granted"
    in_shadow = Arbiter(Limits(), sham={"burst": 0.999}, shadow=True)
    assert decided(1, in_shadow).verdict == "shadowed"


def test_a_sham_cools_down_and_owes_no_light() -> None:
    limits = Limits(light_ms_percent=5001.0)
    arbiter = Arbiter(limits, sham={"burst": 0.999999}, seed=3)
    assert decided(0, arbiter).verdict == "sham"
    # 60 s later: as long to wait as after a burst that was taken
    again = decided(1, arbiter)
    assert again.verdict == "refused"
    assert "cool-down" in again.reason
    # the light of a burst, 5000, was not promised to it
    assert decided(2, arbiter).verdict == "sham"


def test_a_restarted_analysis_knows_the_cool_down_of_a_sham() -> None:
    arbiter = Arbiter(Limits(), sham={"burst": 0.999999}, seed=3)
    first = decided(0, arbiter)
    again = Arbiter(Limits(), sham={"burst": 0.999999}, seed=3)
    again.seed([first], [], {"p0": 0.0})
    assert "cool-down" in decided(1, again).reason
