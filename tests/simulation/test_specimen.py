"""Living cells: where they are, what they do, what light does to them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartscope.acquisition import StageMap
from smartscope.simulation import SpecimenSettings
from smartscope.simulation.optics import Field
from smartscope.simulation.specimen import LivingCells

PIXEL_UM = 0.5
# all turns and mirrors of a camera
ORIENTATIONS = [
    m
    for a, b in itertools.product((1.0, -1.0), repeat=2)
    for m in (((a, 0.0), (0.0, b)), ((0.0, a), (b, 0.0)))
]
TURNED = ((0.8, -0.6), (0.6, 0.8))


def field(
    centre: tuple[float, float],
    shape: tuple[int, int] = (120, 160),
    orientation: tuple[tuple[float, float], tuple[float, float]] = ORIENTATIONS[0],
    blur_um: float = 0.35,
) -> Field:
    (a, b), (c, d) = orientation
    matrix = ((a * PIXEL_UM, b * PIXEL_UM), (c * PIXEL_UM, d * PIXEL_UM))
    return Field(centre, shape, matrix, blur_um)


@pytest.fixture(scope="module")
def cells() -> LivingCells:
    return LivingCells(SpecimenSettings(bleach_ms_percent=None), seed=11)


@pytest.fixture(scope="module")
def lonely() -> LivingCells:
    few = SpecimenSettings(cells=4, area_um=(1500, 1500), divisions_per_hour=0)
    return LivingCells(few, seed=1)


@settings(max_examples=30, deadline=None)
@given(
    orientation=st.sampled_from([*ORIENTATIONS, TURNED]),
    dx=st.floats(-20, 20),
    dy=st.floats(-15, 15),
    which=st.integers(0, 3),
)
def test_a_cell_is_where_the_stage_map_says(
    lonely: LivingCells, orientation: object, dx: float, dy: float, which: int
) -> None:
    _, positions = lonely.cells_at(50.0)
    cell = positions[which]
    if np.sort(np.linalg.norm(positions - cell, axis=1))[1] < 130:
        return  # its neighbour would be in the picture
    centre = (float(cell[0] + dx), float(cell[1] + dy))
    view = field(centre, (180, 180), orientation)  # type: ignore[arg-type]
    image = lonely.rate(view, 50.0, "FITC") - lonely.rate(view, 50.0, "DAPI") / 0.4
    stage_map = StageMap(PIXEL_UM, orientation)  # type: ignore[arg-type]
    ((row, column),) = stage_map.to_pixels(cell[None], view.shape, centre)
    # nucleoli pull the centre of brightness by less than a pixel, an outline does not
    rows, columns = np.nonzero(
        image > 0.4 * np.median(image[image > 0.3 * image.max()])
    )
    assert rows.mean() == pytest.approx(row, abs=0.5)
    assert columns.mean() == pytest.approx(column, abs=0.5)


def test_the_part_of_a_field_is_a_part_of_its_image(cells: LivingCells) -> None:
    whole = field((10, -20), (200, 240), TURNED)
    image = cells.rate(whole, 100.0, "FITC")
    part = cells.rate(whole.part(30, 50, (64, 80)), 100.0, "FITC")
    assert part == pytest.approx(image[30:94, 50:130], abs=0.4)


def test_it_is_a_function_of_seed_and_time_whoever_asked_before() -> None:
    given_settings = SpecimenSettings()
    one, two = (LivingCells(given_settings, seed=5) for _ in range(2))
    two.rate(field((0, 0)), 900.0, "FITC")
    two.rate(field((200, 0)), 3000.0, "FITC")
    for t_s in (0.0, 777.0, 2500.0):
        view = field((40, 30))
        assert (one.rate(view, t_s, "FITC") == two.rate(view, t_s, "FITC")).all()
    assert one.truth(5000) == two.truth(5000)
    assert LivingCells(given_settings, seed=6).truth(5000) != one.truth(5000)


def test_divisions_come_at_the_rate_and_stagger(cells: LivingCells) -> None:
    divisions = [e.t_s for e in cells.truth(3600).events if e.kind == "division"]
    # 120 cells at 0.4 an hour; daughters add a few
    assert 30 < len(divisions) < 60
    counts, _ = np.histogram(divisions, bins=6, range=(0, 3600))
    assert counts.min() >= 3


def test_truth_is_what_is_drawn(cells: LivingCells) -> None:
    """Daughters part after anaphase onset and are 2.2 radii apart in 5 minutes."""
    divisions = [e for e in cells.truth(5400).events if e.kind == "division"]
    assert divisions
    for event in divisions:
        at = np.array([event.x_um, event.y_um])
        before = nearest(cells, event.t_s - 1, at)
        assert np.linalg.norm(before[0] - at) < 0.5
        first, second = nearest(cells, event.t_s + 1, at)[:2]
        assert np.linalg.norm(first - second) < 1.0
        first, second = nearest(cells, event.t_s + 300, at)[:2]
        assert np.linalg.norm(first - second) == pytest.approx(13, abs=4)


def nearest(cells: LivingCells, t_s: float, at: np.ndarray) -> np.ndarray:
    _, positions = cells.cells_at(t_s)
    return positions[np.argsort(np.linalg.norm(positions - at, axis=1))]


def test_a_mother_gets_bright_and_small_and_becomes_two(cells: LivingCells) -> None:
    from scipy.ndimage import label

    lonely_divisions = 0
    for event in cells.truth(5400).events:
        at = np.array([event.x_um, event.y_um])
        gaps = [nearest(cells, event.t_s + dt, at)[1:3] for dt in (-1000, 240)]
        if (
            event.kind != "division"
            or event.t_s < 1500
            or np.linalg.norm(gaps[0][0] - at) < 35
            or np.linalg.norm(gaps[1][1] - at) < 35
        ):
            continue
        lonely_divisions += 1
        view = field((event.x_um, event.y_um), (80, 80), blur_um=0.3)
        before, plate, apart = (
            cells.rate(view, event.t_s + dt, "FITC") for dt in (-1000, -60, 240)
        )
        interphase = np.percentile(before, 99)
        assert 1.7 < np.percentile(plate, 99.8) / interphase < 4
        assert (plate > interphase / 2).sum() < 0.75 * (before > interphase / 2).sum()
        assert label(plate > interphase)[1] == 1
        assert label(apart > interphase)[1] == 2
    assert lonely_divisions >= 3


def test_cells_keep_apart(cells: LivingCells) -> None:
    from scipy.spatial import cKDTree

    for t_s in (0.0, 1800.0, 3600.0):
        _, positions = cells.cells_at(t_s)
        distance = cKDTree(positions).query(positions, k=2)[0][:, 1]
        # sisters that have just parted are allowed to be near
        assert (distance < 9).mean() < 0.1


def test_only_what_is_lit_bleaches() -> None:
    cells = LivingCells(SpecimenSettings(bleach_ms_percent=1000), seed=2)
    lit, dark = field((-100, 0), (200, 200)), field((100, 0), (200, 200))
    nuclei = {view: contrast(cells, view) for view in (lit, dark)}
    cells.expose(lit, 1000)
    assert contrast(cells, lit) == pytest.approx(nuclei[lit] / np.e, rel=0.05)
    assert contrast(cells, dark) == pytest.approx(nuclei[dark], rel=1e-6)


def contrast(cells: LivingCells, view: Field) -> float:
    background = cells.rate(view, 0.0, "DAPI") / 0.4
    return float((cells.rate(view, 0.0, "FITC") - background).sum())


def test_without_bleaching_light_does_nothing(cells: LivingCells) -> None:
    view = field((0, 0))
    before = cells.rate(view, 0.0, "FITC")
    cells.expose(view, 1e12)
    assert cells.rate(view, 0.0, "FITC") is before


def test_only_its_presets_show_the_label(cells: LivingCells) -> None:
    view = field((0, 0), (400, 400))
    peaks = {
        c: cells.rate(view, 0.0, c).max() for c in ("FITC", "Rhodamine", "Cy5", "")
    }
    assert peaks["FITC"] > 2 * peaks["Rhodamine"] > 4 * peaks["Cy5"]
    assert peaks["Cy5"] == peaks[""]


def test_defocus_blurs_and_keeps_the_light(lonely: LivingCells) -> None:
    _, positions = lonely.cells_at(0.0)
    centre = (float(positions[0][0]), float(positions[0][1]))
    sharp, blurred = (
        lonely.rate(field(centre, (160, 160), blur_um=blur), 0.0, "FITC")
        for blur in (0.3, 3.0)
    )
    assert blurred.max() < 0.8 * sharp.max()
    assert blurred.sum() == pytest.approx(sharp.sum(), rel=0.02)


def test_a_colony_that_outgrows_every_memory_is_refused() -> None:
    from smartscope.errors import Refused
    from smartscope.simulation.lineage import draw_lineage

    settings = SpecimenSettings(cells=100, divisions_per_hour=2, duration_s=7e5)
    with pytest.raises(Refused, match="cells"):
        draw_lineage(settings, seed=0)
