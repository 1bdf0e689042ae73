"""Flashes, deaths, arrivals and departures: drawn, told by the truth, and seen."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.errors import Refused
from smartscope.simulation import SpecimenSettings, TruthEvent
from smartscope.simulation.fates import flash_profile
from smartscope.simulation.optics import Field
from smartscope.simulation.specimen import LivingCells

HOUR_S = 3600.0


def living(seed: int = 3, **changes: Any) -> LivingCells:
    given_settings = {
        "bleach_ms_percent": None,
        "divisions_per_hour": 0.0,
        "duration_s": 2 * HOUR_S,
        **changes,
    }
    return LivingCells(SpecimenSettings(**given_settings), seed)


def around(event: TruthEvent, size: int = 61) -> Field:
    matrix = ((0.5, 0.0), (0.0, 0.5))
    return Field((event.x_um, event.y_um), (size, size), matrix, 0.35)


def light(cells: LivingCells, event: TruthEvent, t_s: float) -> float:
    """Photons of what lies within 8 µm of an event, without the background."""
    view = around(event)
    image = cells.rate(view, t_s, "FITC") - cells.rate(view, t_s, "DAPI") / 0.4
    rows, columns = np.indices(image.shape) - 30
    return float(image[rows**2 + columns**2 < 16**2].sum())


def lonely(cells: LivingCells, event: TruthEvent, within_um: float = 25) -> bool:
    """Return whether no other cell is near, from before the event to its end."""
    times = (event.t_s - 10, event.t_s + 1, event.ends_s or event.t_s)
    at = (event.x_um, event.y_um)
    for t_s in times:
        _, positions = cells.cells_at(max(t_s, 0.0))
        if (np.linalg.norm(positions - at, axis=1) < within_um).sum() > 1:
            return False
    return True


def events(cells: LivingCells, kind: str) -> list[TruthEvent]:
    return [e for e in cells.truth(1e9).events if e.kind == kind]


# -------------------------------------------------------------------------- flashes


@given(flash_s=st.floats(0.1, 100), share=st.floats(0, 3), later=st.floats(0, 1))
def test_a_flash_rises_and_decays(flash_s: float, share: float, later: float) -> None:
    now = flash_profile(share * flash_s, flash_s)
    assert 0 <= now <= 1
    after = flash_profile((share + later) * flash_s, flash_s)
    if share + later <= 0.1:
        assert after >= now
    elif share >= 0.1:
        assert after <= now
    assert flash_profile(-later, flash_s) == 0
    assert flash_profile(0.1 * flash_s, flash_s) == pytest.approx(1)
    assert flash_profile(flash_s, flash_s) == pytest.approx(0.05)
    assert flash_profile(2 * flash_s, flash_s) == 0


def test_flashes_come_at_their_rate_and_end_within_a_life() -> None:
    cells = living(cells=200, flashes_per_hour=3, divisions_per_hour=0.5)
    told = events(cells, "flash")
    # 200 cells that become 500, 2 hours, 3 an hour
    alive = np.mean([len(cells.cells_at(t)[0]) for t in range(0, 7200, 100)])
    assert len(told) == pytest.approx(alive * 6, rel=0.1)
    assert cells.truth(1e9).names["flash"] == "flash"
    for event in told:
        assert event.ends_s == pytest.approx(event.t_s + 5)
        at = (event.x_um, event.y_um)
        for t_s in (event.t_s, event.ends_s):
            _, positions = cells.cells_at(t_s)
            assert np.linalg.norm(positions - at, axis=1).min() < 2


def test_a_flash_is_seen_where_and_when_the_truth_says() -> None:
    cells = living(flashes_per_hour=4, flash_factor=5, flash_s=5)
    seen = 0
    for event in events(cells, "flash")[:60]:
        if not lonely(cells, event):
            continue
        seen += 1
        before, peak, late, over = (
            light(cells, event, event.t_s + dt) for dt in (-0.1, 0.5, 5.0, 10.0)
        )
        assert peak / before == pytest.approx(5, rel=0.1)
        # 5 % of the four fold rise are left
        assert late / before == pytest.approx(1.2, abs=0.03)
        assert over / before == pytest.approx(1, abs=0.02)
    assert seen >= 10


def test_the_rest_of_the_specimen_does_not_know_of_flashes() -> None:
    calm, flashing = living(), living(flashes_per_hour=2)
    flash = events(flashing, "flash")[0]
    far = Field((flash.x_um + 200, flash.y_um), (64, 64), ((0.5, 0.0), (0.0, 0.5)), 0.4)
    t_s = flash.t_s + 1
    same = flashing.rate(far, t_s, "FITC")
    assert (same == calm.rate(far, t_s, "FITC")).all()
    assert flashing.rate(far, t_s, "FITC") is same
    view = around(flash)
    assert (flashing.rate(view, t_s, "DAPI") == calm.rate(view, t_s, "DAPI")).all()
    assert (flashing.rate(view, t_s, "FITC") != calm.rate(view, t_s, "FITC")).any()


def test_too_many_flashes_are_refused() -> None:
    with pytest.raises(Refused, match="flash more than"):
        living(flashes_per_hour=1e6)


# --------------------------------------------------------------------------- deaths


def test_cells_die_at_their_rate_and_do_not_divide_after() -> None:
    settings = {"cells": 400, "deaths_per_hour": 0.3, "divisions_per_hour": 0.3}
    cells = living(**settings, duration_s=HOUR_S, death_s=600)
    deaths = events(cells, "death")
    # 400 cells, of which as many come as go; those about to divide do not die
    assert 80 < len(deaths) < 150
    assert {e.of_class for e in deaths} == {"dying"}
    for event in deaths:
        assert event.ends_s == pytest.approx(event.t_s + 600)
    kinds = Counter(e.kind for e in cells.truth(1e9).events)
    numbers = [len(cells.cells_at(t)[0]) for t in (0.0, HOUR_S)]
    gone = sum(e.ends_s is not None and e.ends_s <= HOUR_S for e in deaths)
    assert numbers[1] - numbers[0] == kinds["division"] - gone


def test_a_dying_cell_shrinks_blebs_and_darkens() -> None:
    cells = living(cells=40, deaths_per_hour=1, speed_um_per_min=0.0)
    seen = 0
    for event in events(cells, "death"):
        if event.ends_s is None or event.ends_s > 7000 or not lonely(cells, event, 30):
            continue
        seen += 1
        view = around(event)

        def area(t_s: float, view: Field = view) -> int:
            image = cells.rate(view, t_s, "FITC") - cells.rate(view, t_s, "DAPI") / 0.4
            return int((image > 0.4 * np.percentile(image, 99)).sum())

        alive, small, dark, gone = (
            event.t_s + share * 1800 for share in (-0.01, 0.25, 0.8, 1.01)
        )
        assert area(small) < 0.65 * area(alive)
        before = light(cells, event, alive)
        assert light(cells, event, dark) < 0.35 * before
        assert light(cells, event, gone) < 0.02 * before
    assert seen >= 8


def test_blebs_stand_out_of_a_dying_nucleus() -> None:
    """Its outline is longer than that of a round thing of its area."""
    cells = living(cells=40, deaths_per_hour=1, speed_um_per_min=0.0)
    rounder = []
    for event in events(cells, "death"):
        if event.t_s > 5500 or not lonely(cells, event, 30):
            continue
        matrix = ((0.2, 0.0), (0.0, 0.2))
        view = Field((event.x_um, event.y_um), (121, 121), matrix, 0.2)
        solidity = []
        for share in (-0.01, 0.5):
            image = cells.rate(view, event.t_s + share * 1800, "FITC")
            mask = image > 0.3 * (np.percentile(image, 99) + np.median(image))
            rows, columns = np.nonzero(mask)
            spread = np.linalg.det(np.cov(rows, columns)) ** 0.5 * 4 * np.pi
            solidity.append(mask.sum() / spread)
        rounder.append(solidity[1] < solidity[0])
    assert len(rounder) >= 8
    assert np.mean(rounder) > 0.8


# ----------------------------------------------------------- arrivals and departures


def test_cells_land_and_lift_off_at_their_rates() -> None:
    cells = living(cells=300, arrivals_per_hour=60, departures_per_hour=0.2)
    arrivals, departures = events(cells, "arrival"), events(cells, "departure")
    assert 80 < len(arrivals) < 165
    # about 330 cells, 2 hours, of each 0.2 an hour: one less whenever one goes
    assert 85 < len(departures) < 150
    assert {"arrival", "departure"} <= cells.truth(1e9).names.keys()
    there = len(cells.cells_at(7200.0)[0]) - len(cells.cells_at(0.0)[0])
    gone = sum(e.ends_s is not None and e.ends_s <= 7200 for e in departures)
    assert there == len(arrivals) - gone


@pytest.mark.parametrize("kind", ["arrival", "departure"])
def test_it_comes_into_view_and_goes_out_of_it(kind: str) -> None:
    cells = living(cells=30, **{f"{kind}s_per_hour": 20 if kind == "arrival" else 1})
    seen = 0
    for event in events(cells, kind):
        if event.t_s > 7000 or event.t_s < 20 or not lonely(cells, event, 30):
            continue
        seen += 1
        before, after = (light(cells, event, event.t_s + dt) for dt in (-2, 65))
        if kind == "arrival":
            before, after = after, before
        assert after < 0.03 * before
    assert seen >= 8


# -------------------------------------------------------------- rounding up, nothing


def test_a_cell_rounds_up_before_it_divides_smaller_and_brighter() -> None:
    cells = living(divisions_per_hour=0.6, cells=40)
    seen = 0
    for event in events(cells, "mitosis"):
        divides = [
            e for e in events(cells, "division") if abs(e.t_s - event.t_s - 900) < 1e-6
        ]
        if not divides or event.t_s < 20 or not lonely(cells, event, 30):
            continue
        view = around(event)
        images = [
            cells.rate(view, event.t_s + dt, "FITC")
            - cells.rate(view, event.t_s + dt, "DAPI") / 0.4
            for dt in (-2, 300)
        ]
        areas = [(i > 0.5 * np.percentile(i, 99)).sum() for i in images]
        peaks = [np.percentile(i, 99) for i in images]
        seen += 1
        assert event.of_class == "mitotic"
        assert areas[1] < 0.75 * areas[0]
        assert peaks[1] > 1.4 * peaks[0]
    assert seen >= 5


def test_a_specimen_in_which_nothing_happens() -> None:
    cells = living(cells=60, duration_s=12 * HOUR_S)
    truth = cells.truth(1e9)
    assert truth.events == ()
    assert set(truth.names) == {"division", "mitosis"}
    assert truth.duration_s == 12 * HOUR_S
    view = Field((0.0, 0.0), (600, 600), ((1.0, 0.0), (0.0, 1.0)), 0.5)
    for t_s in np.linspace(0, 12 * HOUR_S - 1, 5):
        assert len(cells.cells_at(t_s)[0]) == 60
        # nobody rounds up: no nucleus is brighter than those of interphase
        assert cells.rate(view, t_s, "FITC").max() < 40 * 2.2


@given(seed=st.integers(0, 3))
def test_the_same_seed_lives_the_same_life(seed: int) -> None:
    all_of_it = {
        "cells": 20,
        "flashes_per_hour": 2,
        "deaths_per_hour": 0.2,
        "departures_per_hour": 0.2,
        "arrivals_per_hour": 10,
        "divisions_per_hour": 0.4,
    }
    one, two = living(seed, **all_of_it), living(seed, **all_of_it)
    view = Field((0.0, 0.0), (100, 100), ((3.0, 0.0), (0.0, 3.0)), 0.5)
    one.rate(view, 5000.0, "FITC")
    assert one.truth(1e9) == two.truth(1e9)
    assert (one.rate(view, 999.3, "FITC") == two.rate(view, 999.3, "FITC")).all()
    assert living(seed + 1, **all_of_it).truth(1e9) != one.truth(1e9)
