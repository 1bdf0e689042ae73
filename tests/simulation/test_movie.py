"""A recorded movie as the specimen."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from smartscope.errors import Refused
from smartscope.simulation import SpecimenSettings
from smartscope.simulation.movie import MovieSpecimen
from smartscope.simulation.optics import Field

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "timelapse"
PIXEL_UM = 0.5
needs_shared = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the shared data folder is not beside the repository"
)


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(50, 1000, (5, 40, 60)).astype(np.uint16)


def specimen(path: Path | dict[str, Path], **more: Any) -> MovieSpecimen:
    given_settings = {"pixel_size_um": PIXEL_UM, "frame_interval_s": 10.0, **more}
    return MovieSpecimen.load(SpecimenSettings(movie=path, **given_settings))


@pytest.fixture(scope="module")
def tiff(tmp_path_factory: pytest.TempPathFactory, frames: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("movie") / "movie.tif"
    tifffile.imwrite(path, frames, photometric="minisblack", metadata={"axes": "TYX"})
    return path


def view(
    shape: tuple[int, int] = (40, 60), centre: tuple[float, float] = (0.0, 0.0)
) -> Field:
    return Field(centre, shape, ((PIXEL_UM, 0.0), (0.0, PIXEL_UM)))


def photons(frame: np.ndarray, frames: np.ndarray) -> np.ndarray:
    return frame / frames.max() * 2000 / 100


def zarr_movie(folder: Path, frames: np.ndarray, version: int) -> Path:
    import tensorstore

    driver = {2: "zarr", 3: "zarr3"}[version]
    spec = {"driver": driver, "kvstore": {"driver": "file", "path": str(folder / "0")}}
    store = tensorstore.open(
        spec, create=True, dtype=frames.dtype.name, shape=frames.shape
    ).result()
    store[...] = frames
    axes = [{"name": name} for name in "tyx"]
    multiscales = [{"axes": axes, "datasets": [{"path": "0"}]}]
    if version == 2:
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps({"multiscales": multiscales}))
    else:
        group = {"zarr_format": 3, "node_type": "group"}
        group["attributes"] = {"ome": {"version": "0.5", "multiscales": multiscales}}
        (folder / "zarr.json").write_text(json.dumps(group))
    return folder


@pytest.mark.parametrize("kind", ["tiff", "ome-tiff", "zarr2", "zarr3", "collection"])
def test_at_the_middle_it_is_the_movie(
    kind: str, tiff: Path, frames: np.ndarray, tmp_path: Path
) -> None:
    path = tiff
    if kind == "ome-tiff":
        path = tmp_path / "movie.ome.tif"
        tifffile.imwrite(path, frames[:, None, None], metadata={"axes": "TCZYX"})
    elif kind.startswith("zarr"):
        path = zarr_movie(tmp_path, frames, int(kind[-1]))
    elif kind == "collection":
        path = tmp_path
        (path / "survey_p0").mkdir()
        zarr_movie(path / "survey_p0", frames, 3)
    movie = specimen(path)
    assert movie.shape == (40, 60)
    for t_s, number in ((0, 0), (9.9, 0), (10, 1), (49, 4), (1e5, 4)):
        expected = photons(frames[number], frames)
        assert movie.rate(view(), t_s, "FITC") == pytest.approx(expected, rel=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    dx=st.integers(-70, 70),
    dy=st.integers(-50, 50),
    rows=st.integers(4, 40),
    columns=st.integers(4, 60),
    transpose=st.booleans(),
    mirror=st.booleans(),
)
def test_the_stage_moves_the_field_over_it(
    tiff: Path,
    frames: np.ndarray,
    dx: int,
    dy: int,
    rows: int,
    columns: int,
    transpose: bool,
    mirror: bool,
) -> None:
    """Each pixel shows the movie's pixel at its place on the stage, or background."""
    rows, columns = 2 * (rows // 2), 2 * (columns // 2)
    sign = -PIXEL_UM if mirror else PIXEL_UM
    matrix = ((sign, 0.0), (0.0, PIXEL_UM))
    if transpose:
        matrix = ((0.0, sign), (PIXEL_UM, 0.0))
    centre = (dx * PIXEL_UM, dy * PIXEL_UM)
    image = specimen(tiff).rate(Field(centre, (rows, columns), matrix), 20, "FITC")
    r, c = np.mgrid[:rows, :columns].astype(float)
    offset = np.stack([c - (columns - 1) / 2, r - (rows - 1) / 2], axis=-1)
    stage = offset @ np.asarray(matrix).T + centre
    x = np.rint(stage[..., 0] / PIXEL_UM + 29.5).astype(int)
    y = np.rint(stage[..., 1] / PIXEL_UM + 19.5).astype(int)
    inside = (x >= 0) & (x < 60) & (y >= 0) & (y < 40)
    background = np.median([np.percentile(f, 1) for f in frames])
    expected = np.full((rows, columns), background)
    expected[inside] = frames[2][y[inside], x[inside]]
    assert image == pytest.approx(photons(expected, frames), rel=1e-4)


def test_between_its_pixels_it_is_interpolated_like_any_angle(
    tiff: Path, frames: np.ndarray
) -> None:
    movie = specimen(tiff)
    straight = movie.rate(view((10, 10), (0.2, 0.1)), 0, "FITC")
    # an angle too small to matter takes the way of any angle
    tilted = ((PIXEL_UM, 1e-9), (-1e-9, PIXEL_UM))
    same = movie.rate(Field((0.2, 0.1), (10, 10), tilted), 0, "FITC")
    assert straight == pytest.approx(same, rel=1e-4)
    assert straight.std() < movie.rate(view((10, 10)), 0, "FITC").std()


def test_several_movies_are_the_channels(
    tiff: Path, frames: np.ndarray, tmp_path: Path
) -> None:
    second = tmp_path / "second.tif"
    tifffile.imwrite(second, frames[::-1], photometric="minisblack")
    movie = specimen({"FITC": tiff, "Cy5": second})
    green = photons(frames[0], frames)
    red = photons(frames[-1], frames)
    assert movie.rate(view(), 0, "FITC") == pytest.approx(green, rel=1e-5)
    assert movie.rate(view(), 0, "Cy5") == pytest.approx(red, rel=1e-5)
    assert np.ptp(movie.rate(view(), 0, "DAPI")) == 0


def test_a_single_image_stays(frames: np.ndarray, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "one.tif", frames[0])
    movie = specimen(tmp_path / "one.tif")
    expected = photons(frames[0], frames[0])
    for t_s in (0, 1000):
        assert movie.rate(view(), t_s, "FITC") == pytest.approx(expected, rel=1e-5)


def test_a_frame_begins_at_its_time(tiff: Path, frames: np.ndarray) -> None:
    """Three times 0.1 s is the third frame, whatever binary sums make of it."""
    movie = specimen(tiff, frame_interval_s=0.1)
    expected = photons(frames[3], frames)
    assert movie.rate(view(), 0.3, "FITC") == pytest.approx(expected, rel=1e-5)


def test_defocus_blurs_it(tiff: Path) -> None:
    movie = specimen(tiff)
    sharp = movie.rate(view(), 0, "FITC")
    blurred = movie.rate(
        Field((0.0, 0.0), (40, 60), view().matrix, blur_um=2.0), 0, "FITC"
    )
    assert blurred.std() < 0.5 * sharp.std()


BAD = {
    "gone": ({}, "no movie at"),
    "text": ({}, "cannot be read"),
    "colours": ({}, "grey values"),
    "black": ({}, "black"),
    "folder": ({}, "no OME-Zarr"),
    "pixel size": ({"pixel_size_um": None}, "pixel_size_um is missing"),
    "interval": ({"frame_interval_s": None}, "frame_interval_s is missing"),
    "channel": ({}, "Did you mean 'FITC'"),
    "shapes": ({}, "differ"),
    "truth": ({"truth": Path("nowhere.json")}, "truth"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_used_is_refused(
    case: str, tiff: Path, frames: np.ndarray, tmp_path: Path
) -> None:
    more, message = BAD[case]
    path: Path | dict[str, Path] = tiff
    new = tmp_path / "new.tif"
    if case == "gone":
        path = new
    elif case == "text":
        new.write_text("no picture")
        path = new
    elif case == "colours":
        tifffile.imwrite(new, np.zeros((4, 9, 9, 3), np.uint8), photometric="rgb")
        path = new
    elif case == "black":
        tifffile.imwrite(new, np.zeros_like(frames), photometric="minisblack")
        path = new
    elif case == "folder":
        path = tmp_path
    elif case == "channel":
        path = {"FITX": tiff}
    elif case == "shapes":
        tifffile.imwrite(new, frames[:, 1:], photometric="minisblack")
        path = {"FITC": tiff, "Cy5": new}
    with pytest.raises(Refused, match=message) as told:
        specimen(path, **more)
    assert told.value.rule or told.value.way_out


def test_a_csv_and_a_json_truth_say_the_same(tiff: Path, tmp_path: Path) -> None:
    table = tmp_path / "truth.csv"
    table.write_text("type, x, y, t\nanaphase,29.5,19.5,2\nanaphase,31.5,17.5,1\n")
    record = tmp_path / "truth.json"
    events = [
        {"type": "anaphase", "x": 29.5, "y": 19.5, "frame": 2},
        {"type": "anaphase", "x": 31.5, "y": 17.5, "frame": 1},
    ]
    record.write_text(json.dumps({"events": events}))
    more = {"truth_map": {"anaphase": "division"}}
    by_csv = specimen(tiff, truth=table, **more).truth(1e6)
    by_json = specimen(tiff, truth=record, **more).truth(1e6)
    assert by_csv == by_json
    assert by_csv is not None
    first, second = by_csv.events
    assert (first.t_s, first.x_um, first.y_um) == (10.0, 1.0, -1.0)
    assert (second.t_s, second.x_um, second.y_um) == (20.0, 0.0, 0.0)
    assert by_csv.names == {"anaphase": "division"}
    assert (by_csv.tolerance_s, by_csv.tolerance_um) == (10.0, 10.0)
    # only what has happened
    until = specimen(tiff, truth=table, **more).truth(15.0)
    assert until is not None
    assert until.events == (first,)


def test_a_map_with_an_unknown_type_is_refused(tiff: Path, tmp_path: Path) -> None:
    table = tmp_path / "truth.csv"
    table.write_text("t,x,y,type\n1,2,3,anaphase\n")
    with pytest.raises(Refused, match="Did you mean 'anaphase'"):
        specimen(tiff, truth=table, truth_map={"anafase": "division"})
    table.write_text("t,x,y\n1,2,3\n")
    with pytest.raises(Refused, match="no type"):
        specimen(tiff, truth=table)
    table.write_text("t,x,y,type\n1,2,3\n")
    with pytest.raises(Refused, match="line 2"):
        specimen(tiff, truth=table)
    table.write_text("t,x,y,type\n1,nan,3,anaphase\n")
    with pytest.raises(Refused, match="nan"):
        specimen(tiff, truth=table)


def test_a_table_as_a_spreadsheet_writes_it(tiff: Path, tmp_path: Path) -> None:
    table = tmp_path / "truth.csv"
    for mark in ",;\t":
        lines = ["name,t,x,y,type", "a,2,29.5,19.5,anaphase"]
        text = "\r\n".join(lines).replace(",", mark)
        table.write_text(text, encoding="utf-8-sig")
        truth = specimen(tiff, truth=table).truth(1e6)
        assert truth is not None
        (event,) = truth.events
        assert (event.kind, event.t_s, event.x_um, event.y_um) == ("anaphase", 20, 0, 0)


@needs_shared
def test_the_shared_movie_and_its_truth() -> None:
    movie = specimen(
        SHARED / "mitocheck_movie.tif",
        truth=SHARED / "mitocheck_movie_events.json",
        pixel_size_um=0.65,
        frame_interval_s=300.0,
        truth_map={"anaphase_onset": "division"},
        tolerance_frames=2,
    )
    truth = movie.truth(1e6)
    assert truth is not None
    assert [e.t_s for e in truth.events] == [1200.0, 2400.0, 2400.0]
    assert truth.tolerance_s == 600.0
    assert truth.tolerance_um == pytest.approx(15 * 0.65)
    ((start, end, *_),) = truth.ignore
    assert (start, end) == (19 * 300.0, 25 * 300.0)
    # the cell of the first event is there: bright on a dark ground
    event = truth.events[0]
    field = Field((event.x_um, event.y_um), (9, 9), ((0.65, 0), (0, 0.65)))
    assert movie.rate(field, event.t_s - 300, "FITC").mean() > 6
