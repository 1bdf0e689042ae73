"""Patterned light: where it falls, what it bleaches, and which cells answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from smartscope.simulation import (
    SlmDeviceSettings,
    SpecimenSettings,
    UglinessSettings,
)
from smartscope.simulation.answers import Answers
from smartscope.simulation.lineage import draw_lineage
from smartscope.simulation.specimen import LivingCells

AFFINE = ((0.0, 2.0, 10.0), (-2.0, 0.0, 290.0))
SLM = SlmDeviceSettings(present=True, shape=(300, 300), affine=AFFINE)


def even(**keys: Any) -> SpecimenSettings:
    """Medium without cells in view."""
    return SpecimenSettings(
        time="virtual", cells=1, area_um=(9000, 9000), background_photons=50, **keys
    )


def lit_at(image: np.ndarray) -> tuple[float, float]:
    """Return column and row of the middle of what is bright."""
    rows, columns = np.nonzero(image > (int(image.max()) + int(image.min())) / 2)
    return float(columns.mean()), float(rows.mean())


def show(core: Any, column: int, row: int, half: int = 12) -> None:
    mask = np.zeros((300, 300), np.uint8)
    mask[row - half : row + half + 1, column - half : column + half + 1] = 255
    core.setSLMImage("SLM", mask)
    core.displaySLMImage("SLM")


def opened_with(opened: Callable[..., Any], **more: Any) -> Any:
    core, simulated = opened(specimen=even(), slm=SLM, **more)
    core.setProperty("Camera", "BitDepth", 16)
    core.setExposure(20)
    core.setConfig("Channel", "Stimulation")
    return core, simulated


def test_light_falls_where_the_affine_map_says(
    opened: Callable[..., Any], snap: Callable[..., np.ndarray]
) -> None:
    core, _ = opened_with(opened)
    assert core.getCurrentConfig("Channel") == "Stimulation"
    show(core, 150, 150)
    # column 150 = 2 row + 10, row 150 = 290 - 2 column
    assert lit_at(snap(core)) == pytest.approx((70, 70), abs=0.3)
    show(core, 90, 150)
    column, row = lit_at(snap(core))
    assert (column, row) == pytest.approx((70, 40), abs=0.3)
    core.setROI(60, 20, 32, 40)
    assert lit_at(snap(core)) == pytest.approx((10, 20), abs=0.3)
    core.clearROI()
    core.setProperty("Camera", "Binning", 2)
    assert lit_at(snap(core)) == pytest.approx((34.75, 19.75), abs=0.3)


def test_a_dark_modulator_lets_no_light_through_and_the_survey_does_not_see_it(
    opened: Callable[..., Any], snap: Callable[..., np.ndarray]
) -> None:
    core, _ = opened_with(opened)
    dark = snap(core).mean()
    show(core, 150, 150)
    core.setConfig("Channel", "FITC")
    whole = snap(core).astype(float)
    assert whole.mean() > dark + 100
    assert whole[70, 70] < 1.3 * whole[20, 100], "the pattern is not in its path"
    core.setConfig("Channel", "Stimulation")
    core.setSLMPixelsTo("SLM", 0)
    core.displaySLMImage("SLM")
    assert snap(core).mean() == pytest.approx(dark, abs=0.5)


def test_it_turns_off_by_itself_when_it_has_an_exposure(
    opened: Callable[..., Any], snap: Callable[..., np.ndarray]
) -> None:
    core, _ = opened_with(opened)
    core.setExposure(40)
    show(core, 150, 150)
    whole = snap(core)[10:].max() - 100.0
    core.setSLMExposure("SLM", 10)
    show(core, 150, 150)
    assert snap(core)[10:].max() - 100 == pytest.approx(whole / 4, rel=0.15)
    assert snap(core)[10:].max() < 120, "its time is over"
    core.setSLMExposure("SLM", 0)


def test_an_error_of_the_registration_moves_the_pattern(
    opened: Callable[..., Any], snap: Callable[..., np.ndarray]
) -> None:
    ugly = {"slm_offset_um": (6.5, -3.25)}
    core, _ = opened_with(opened, ugly=ugly)
    show(core, 150, 150)
    assert lit_at(snap(core)) == pytest.approx((80, 65), abs=0.3)
    assert UglinessSettings().slm_offset_um == (0, 0)


# ------------------------------------------------------------------ the specimen

CELLS = {
    "time": "virtual",
    "cells": 30,
    "area_um": (300, 300),
    "divisions_per_hour": 0,
    "stimulation_response": 0.5,
    "stimulation_dose_ms_percent": 1000,
    "stimulation_delay_s": 4,
}


def field_of(specimen: LivingCells) -> Any:
    from smartscope.simulation.optics import Field

    return Field((0.0, 0.0), (600, 600), ((0.5, 0.0), (0.0, 0.5)))


def disc(middle: np.ndarray, radius: float) -> Callable[[np.ndarray], np.ndarray]:
    def lit(points: np.ndarray) -> np.ndarray:
        return (np.linalg.norm(points - middle, axis=1) < radius).astype(float)

    return lit


def stimulated(
    seed: int, dose: float = 1000, **keys: Any
) -> tuple[LivingCells, list[int]]:
    """A specimen of which the first ten cells were lit one by one."""
    specimen = LivingCells(SpecimenSettings(**{**CELLS, **keys}), seed)
    numbers, places = specimen.cells_at(10)
    for place in places[:10]:
        lit = disc(place, 8)
        specimen.expose_through(field_of(specimen), dose, 10.0, lit)
    return specimen, numbers[:10].tolist()


def test_only_what_the_pattern_lights_is_bleached() -> None:
    specimen, _ = stimulated(3, dose=1e6)
    _, places = specimen.cells_at(10)
    left = specimen.dose.left(places)
    far = np.array(
        [
            np.linalg.norm(places[:10] - place, axis=1).min() > 25
            for place in places[10:]
        ]
    )
    assert (left[:10] < 0.85).all()
    assert far.any()
    assert (left[10:][far] == 1).all()


def test_cells_that_can_answer_do_so_after_the_delay_and_the_truth_tells_it() -> None:
    specimen, numbers = stimulated(3, bleach_ms_percent=None)
    answers = Answers(draw_lineage(specimen.settings, 3), specimen.settings, 3)
    can = [n for n in numbers if answers.can_answer(n)]
    assert 2 <= len(can) <= 8
    told = specimen.truth(100)
    responses = [e for e in told.events if e.kind == "response"]
    # a neighbour that is nearer than 8 µm has had its part of the light too
    assert len(responses) >= len(can)
    assert {e.t_s for e in responses} == {14.0}
    assert told.names["response"] == "response"
    calm = LivingCells(specimen.settings, 3)
    field = field_of(specimen)
    assert np.array_equal(
        specimen.rate(field, 13, "FITC"), calm.rate(field, 13, "FITC")
    )
    brighter = specimen.rate(field, 14.5, "FITC") - calm.rate(field, 14.5, "FITC")
    for event in responses:
        row, column = field.to_pixels(np.array([[event.x_um, event.y_um]])).round()[0]
        assert brighter[int(row), int(column)] > 20
    assert not [e for e in specimen.truth(13.9).events if e.kind == "response"]


def test_too_little_light_is_no_answer_and_light_adds_up() -> None:
    specimen, _ = stimulated(3, dose=600)
    assert not specimen.truth(100).events
    _, places = specimen.cells_at(20)
    for place in places[:10]:
        specimen.expose_through(field_of(specimen), 600, 20.0, disc(place, 8))
    assert [e.t_s for e in specimen.truth(100).events] == [24.0] * len(
        specimen.truth(100).events
    )
    assert specimen.truth(100).events


def test_the_same_seed_and_light_give_the_same_answers() -> None:
    one, other, another = (stimulated(seed)[0].truth(100).events for seed in (3, 3, 4))
    assert one == other
    assert one != another


def test_the_share_of_cells_that_answer_is_what_was_asked_for() -> None:
    settings = SpecimenSettings(**{**CELLS, "cells": 2000, "stimulation_response": 0.3})
    answers = Answers([], settings, 7)
    share = np.mean([answers.can_answer(n) for n in range(2000)])
    assert share == pytest.approx(0.3, abs=0.04)
