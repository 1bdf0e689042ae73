"""How policies of one's own are found, and borne with when they fail."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.errors import Refused
from smartscope.recognition import Detections
from smartscope.response import (
    MoveStage,
    Observation,
    OwnPolicySettings,
    Policy,
    PolicyPanel,
    load_policy,
)

SEEN = Observation(
    Frame(
        np.zeros((100, 100), np.uint16),
        MDAEvent(),
        0,
        0.0,
        0.0,
        "p0",
        FrameState(0.0, 0.0, 0.0, 10.0, "FITC", 1.0),
    ),
    Detections.empty(),
)


class Wishful:
    """Wishes what it was built with."""

    def __init__(self, answer: Any = ()) -> None:
        self.answer = answer

    def decide(self, seen: Observation) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def own() -> Iterator[str]:
    module: Any = ModuleType("policies_of_mine")
    module.Wishful = Wishful
    module.Dumb = object
    sys.modules[module.__name__] = module
    yield module.__name__
    del sys.modules[module.__name__]


def test_a_policy_of_ones_own_is_built_with_its_options(own: str) -> None:
    policy: Policy = load_policy(
        OwnPolicySettings(policy=f"{own}:Wishful", options={"answer": [1]})
    )
    assert policy.decide(SEEN) == [1]


@pytest.mark.parametrize(
    ("word", "options", "told"),
    [
        ("nowhere_at_all:C", {}, "could not be imported: ModuleNotFoundError"),
        ("policies_of_mine:Nobody", {}, "has no attribute 'Nobody'"),
        ("policies_of_mine:Wishful", {"anser": 1}, "could not be built.*anser"),
        ("policies_of_mine:Dumb", {}, "without a method 'decide'"),
        ("folow", {}, "Did you mean 'follow'"),
    ],
)
def test_what_is_no_policy_is_refused(
    own: str, word: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(Refused, match=told) as refused:
        load_policy(OwnPolicySettings(policy=word, options=options))
    assert refused.value.rule
    assert refused.value.way_out


def panel(own: str, *answers: Any) -> PolicyPanel:
    return PolicyPanel(
        [
            OwnPolicySettings(
                policy=f"{own}:Wishful", name="own", options={"answer": a}
            )
            for a in answers
        ]
    )


MOVE = MoveStage(place="p0", x_um=1, y_um=1)
NOT_A_NUMBER = MoveStage(place="p0", x_um=math.nan, y_um=1)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (ZeroDivisionError("oh"), "ZeroDivisionError: oh"),
        (None, "returned None"),
        (7, "returned a int"),
        ("moves", "returned a str"),
        ([7], "wished a int"),
        ([NOT_A_NUMBER], "not finite"),
    ],
)
def test_a_policy_that_fails_is_told_and_the_others_are_asked(
    own: str, answer: Any, told: str
) -> None:
    asked = panel(own, answer, [MOVE]).ask(SEEN)
    (failure,) = asked.failures
    assert failure.startswith("policy own: ")
    assert told in failure
    assert [(w.policy, w.action, w.rank) for w in asked.wishes] == [
        ("own 2", MOVE, (1, 0))
    ]


def test_a_flood_of_wishes_is_cut_and_told(own: str) -> None:
    asked = panel(own, [MOVE] * 10_000, (MOVE for _ in range(10**9))).ask(SEEN)
    assert len(asked.wishes) == 200
    assert all("more than 100 actions" in told for told in asked.failures)
