"""Which places learn and which judge."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from smartscope.pairs.split import groups_of, split_places


def places(n: int) -> dict[str, str]:
    return {f"p{i}": f"p{i}" for i in range(n)}


@given(st.integers(0, 60), st.integers(0, 1000))
def test_enough_judge_and_somebody_learns(n: int, seed: int) -> None:
    told = split_places(places(n), seed=seed, validation=0.15, test=0.25)
    counted = Counter(told.values())
    assert sum(counted.values()) == n
    if n >= 6:
        assert counted["test"] >= 4
    if n >= 3:
        assert counted["train"] >= 1
    assert abs(counted["test"] - 0.25 * n) <= 4


@given(st.permutations([f"p{i}" for i in range(9)]))
def test_the_order_of_places_means_nothing(order: list[str]) -> None:
    told = split_places(
        dict(zip(order, order, strict=True)), seed=3, validation=0.2, test=0.4
    )
    assert told == split_places(places(9), seed=3, validation=0.2, test=0.4)


def test_the_seed_means_something() -> None:
    drawn = [
        tuple(split_places(places(8), seed=s, validation=0.2, test=0.4).items())
        for s in range(5)
    ]
    assert len(set(drawn)) > 1


def test_fields_that_overlap_go_together() -> None:
    row = {f"p{i}": (90.0 * i, 0.0) for i in range(4)}
    far = {"p4": (1000.0, 0.0), "p5": (1000.0, 100.0)}
    groups = groups_of({**row, **far}, (100.0, 100.0))
    assert len({groups[name] for name in row}) == 1
    assert groups["p4"] != groups["p5"]  # they only touch
    told = split_places(groups, seed=0, validation=0.2, test=0.4)
    assert len({told[name] for name in row}) == 1
