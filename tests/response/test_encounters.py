"""Cells that may be taken for the followed one: said, and told apart by their looks."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from smartscope.recognition import Track
from smartscope.response.policies.encounters import Encounters

MINE, OTHER, THIRD = 1, 2, 3


def tracks(*cells: tuple[int, float, float]) -> dict[int, Track]:
    """Make tracks from id, x in µm and intensity; two far ones set what is usual."""
    far = ((8, 400.0, 10.0), (9, 500.0, 10.0))
    return {
        i: Track(
            i, "p0", x, 0.0, 0.0, 0.0, 9, 0, level, level, detection=0, area_um2=100.0
        )
        for i, x, level in (*cells, *far)
    }


def told(
    encounters: Encounters, shown: Iterable[tuple[tuple[int, float, float], ...]]
) -> tuple[int, list[str]]:
    followed, said = MINE, []
    for cells in shown:
        followed, more = encounters.look(followed, tracks(*cells))
        said += more
    return followed, said


BEFORE = [((MINE, 0.0, 10.0), (OTHER, 40.0, 14.0))] * 5
NEAR = [((MINE, 0.0, 12.0), (OTHER, 7.0, 12.0))] * 3


def test_it_says_who_comes_near_and_tells_them_apart_when_they_have_parted() -> None:
    after = [((MINE, 0.0, 10.1), (OTHER, 30.0, 14.2))] * 3
    followed, said = told(Encounters(10.0), [*BEFORE, *NEAR, *after])
    assert followed == MINE
    assert [s.split()[0] for s in said] == ["ambiguous:", "told"]


def test_a_swap_is_undone_where_the_looks_tell() -> None:
    after = [((MINE, 0.0, 14.1), (OTHER, 30.0, 9.9))] * 3
    followed, said = told(Encounters(10.0), [*BEFORE, *NEAR, *after])
    assert followed == OTHER
    assert "was swapped with track 2: goes on as 2" in said[-1]


@pytest.mark.parametrize("levels", [(12.0, 12.0), (10.0, 10.4), (20.0, 30.0)])
def test_where_the_looks_do_not_tell_it_says_so(levels: tuple[float, float]) -> None:
    after = [((MINE, 0.0, levels[0]), (OTHER, 30.0, levels[1]))] * 3
    followed, said = told(Encounters(10.0), [*BEFORE, *NEAR, *after])
    assert followed == MINE
    assert "may have been swapped" in said[-1]


def test_one_that_vanished_in_it_may_come_out_as_a_new_track() -> None:
    merged = [((MINE, 3.0, 24.0),)] * 10
    apart = [((MINE, 0.0, 14.0), (THIRD, 8.0, 10.0))] * 2
    after = [((MINE, 0.0, 14.0), (THIRD, 25.0, 10.0))] * 3
    shown = [*BEFORE, *NEAR, *merged, *apart, *after]
    followed, said = told(Encounters(10.0), shown)
    assert followed == THIRD
    assert "swapped with track 3" in said[-1]


def test_one_that_does_not_come_out_again_is_told_as_gone() -> None:
    followed, said = told(
        Encounters(10.0), [*BEFORE, *NEAR, *[((MINE, 3.0, 12.0),)] * 70]
    )
    assert followed == MINE
    assert "which is gone" in said[-1]


def test_light_that_changes_for_all_changes_no_look() -> None:
    encounters = Encounters(10.0)
    followed, said = told(encounters, [*BEFORE, *NEAR])
    for _ in range(3):
        dimmed = tracks((MINE, 0.0, 10.0), (OTHER, 30.0, 14.0))
        dimmed = {
            i: Track(
                i, "p0", t.x_um, 0.0, 0.0, 0.0, 9, 0, t.intensity / 2, 1.0,
                detection=0, area_um2=100.0,
            )
            for i, t in dimmed.items()
        }  # fmt: skip
        followed, more = encounters.look(followed, dimmed)
        said += more
    assert said[-1].startswith("told apart")


def test_nobody_is_watched_with_a_distance_of_0() -> None:
    assert told(Encounters(0.0), [*BEFORE, *NEAR]) == (MINE, [])
