"""Recorded movies as the specimen of whole runs: seen, recognised, answered, scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from smartscope.errors import Refused
from smartscope.loop import run
from smartscope.settings import Experiment, read_yaml
from smartscope.storage import Movie, Run

HERE = Path(__file__).parent
DEMO = HERE.parent / "demos" / "recorded_movie.yaml"
SHARED = HERE.parents[1] / "shared" / "data"
PIXEL_UM, INTERVAL_S = 0.65, 300.0
SHAPE = (30, 140, 180)
# frame, column and row
DIVISIONS = ((10, 50, 60), (18, 130, 90))
RESTING = ((20, 20), (90, 30), (155, 30), (90, 110))
ROWS, COLUMNS = np.indices(SHAPE[1:])


def nucleus(column: float, row: float, light: float, sigma_px: float) -> np.ndarray:
    away = (COLUMNS - column) ** 2 + (ROWS - row) ** 2
    return light * np.exp(-away / 2 / sigma_px**2)


@pytest.fixture(scope="module")
def dividing() -> np.ndarray:
    """Four nuclei that do nothing, and two that divide."""
    frames = np.full(SHAPE, 100.0)
    for number, frame in enumerate(frames):
        for column, row in RESTING:
            frame += nucleus(column, row, 800, 5)
        for onset, column, row in DIVISIONS:
            if number < onset:
                frame += nucleus(column, row, 1500, 5)
            else:
                apart = 8 + min(number - onset, 4)
                frame += nucleus(column, row - apart, 1400, 3.5)
                frame += nucleus(column, row + apart, 1300, 3.5)
    return np.rint(frames).astype(np.uint16)


def write_zarr(folder: Path, frames: np.ndarray) -> None:
    import tensorstore as ts

    kvstore = {"driver": "file", "path": str(folder / "0")}
    store = ts.open(
        {"driver": "zarr3", "kvstore": kvstore},
        create=True,
        dtype=frames.dtype.name,
        shape=frames.shape,
        chunk_layout=ts.ChunkLayout(chunk_shape=[1, *frames.shape[1:]]),
    ).result()
    store[...] = frames
    axes = [{"name": name} for name in "tyx"]
    ome = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
    (folder / "zarr.json").write_text(json.dumps(group))


def demo_beside(folder: Path, frames: np.ndarray, kind: str) -> dict[str, Any]:
    """Return the content of the demo, its movie and its truth lying in a folder."""
    content = read_yaml(DEMO, what="demo")
    specimen = content["specimen"]
    if kind == "tiff":
        tifffile.imwrite(folder / specimen["movie"], frames, photometric="minisblack")
        lines = [f"{t};{x};{y};anaphase" for t, x, y in DIVISIONS]
        # as a spreadsheet writes it
        text = "\n".join(["t;x;y;type", *lines])
        (folder / specimen["truth"]).write_text(text, encoding="utf-8-sig")
    else:
        specimen["movie"], specimen["truth"] = "my_movie.ome.zarr", "my_events.json"
        write_zarr(folder / specimen["movie"], frames)
        events = [
            {"type": "anaphase", "frame": t, "x": x, "y": y} for t, x, y in DIVISIONS
        ]
        (folder / specimen["truth"]).write_text(json.dumps({"events": events}))
    return content


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_divisions_of_a_movie_are_caught_and_scored(
    kind: str, dividing: np.ndarray, tmp_path: Path
) -> None:
    content = demo_beside(tmp_path, dividing, kind)
    result = run(Experiment.parse(content, tmp_path), tmp_path / "run")
    assert (result.outcome, result.exit_code) == ("completed", 0)
    scores = result.summary["scores"]
    assert (scores["events"], scores["caught"], scores["false"]) == (2, 2, 0)
    assert (scores["recall"], scores["precision"]) == (1.0, 1.0)
    # told by the first frame that shows it, at the end of its exposure
    assert 0 < scores["delay_s"]["max"] < 1
    recorded = Run.open(result.folder)
    survey = [f for f in recorded.frames if f["origin"] == "survey"]
    bursts = [f for f in recorded.frames if f["origin"] != "survey"]
    assert len(survey) == SHAPE[0]
    assert len(bursts) == 2 * 10
    # each frame of the movie once: what was recorded is the movie, and noise
    seen = Movie.open(recorded.folder.raw / "survey_p0")
    assert seen.shape == SHAPE
    for number in (0, 9, 10, 29):
        alike = np.corrcoef(seen.read(number).ravel(), dividing[number].ravel())
        assert alike[0, 1] > 0.97
    # the bursts come at once
    for burst, (onset, *_) in zip(bursts[::10], DIVISIONS, strict=True):
        assert 0 < burst["time_s"] - onset * INTERVAL_S < 1


def test_channels_places_and_exposures(dividing: np.ndarray, tmp_path: Path) -> None:
    """Two movies are two channels; the stage moves over them."""
    tifffile.imwrite(tmp_path / "a.tif", dividing, photometric="minisblack")
    tifffile.imwrite(tmp_path / "b.tif", dividing[::-1], photometric="minisblack")
    far_um = 2 * SHAPE[2] * PIXEL_UM
    content = {
        "specimen": {
            "time": "virtual",
            "movie": {"FITC": "a.tif", "Rhodamine": "b.tif"},
            "pixel_size_um": PIXEL_UM,
            "frame_interval_s": INTERVAL_S,
        },
        "survey": {
            "axis_order": "pc",
            "stage_positions": [[0, 0], [20 * PIXEL_UM, -10 * PIXEL_UM], [far_um, 0]],
            "channels": [
                {"config": "FITC", "exposure": 100},
                {"config": "Rhodamine", "exposure": 100},
            ],
        },
        "analysis": {"detect": "dog"},
        "storage": {"reserve_mb": 0},
    }
    result = run(Experiment.parse(content, tmp_path), tmp_path / "run", in_process=True)
    assert result.summary["scores"] == {}
    recorded = Run.open(result.folder)
    shown = {
        (f["place"], f["event"]["channel"]["config"]): recorded.read(f["frame_id"])
        for f in recorded.frames
    }
    assert len(shown) == 6
    for channel, movie in (("FITC", dividing[0]), ("Rhodamine", dividing[-1])):
        for place, seen, true in (
            ("p0", np.s_[:, :], np.s_[:, :]),
            ("p1", np.s_[10:, :-20], np.s_[:-10, 20:]),
        ):
            got = shown[place, channel][seen].ravel()
            assert np.corrcoef(got, movie[true].ravel())[0, 1] > 0.97
        beyond = shown["p2", channel]
        assert beyond.std() < 0.3 * shown["p0", channel].std()


def test_exposure_scales_the_light(dividing: np.ndarray, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", dividing, photometric="minisblack")
    light = {}
    for exposure_ms in (50, 200):
        content = {
            "specimen": {
                "time": "virtual",
                "movie": "a.tif",
                "pixel_size_um": PIXEL_UM,
                "frame_interval_s": INTERVAL_S,
            },
            "survey": {"channels": [{"config": "FITC", "exposure": exposure_ms}]},
            "analysis": {"detect": "dog"},
            "storage": {"reserve_mb": 0},
        }
        out = tmp_path / f"run_{exposure_ms}"
        run(Experiment.parse(content, tmp_path), out, in_process=True)
        # the camera's offset is 100 counts
        light[exposure_ms] = Run.open(out).read(0).mean() - 100
    assert light[200] / light[50] == pytest.approx(4, rel=0.05)


def test_a_run_is_a_movie_for_another(dividing: np.ndarray, tmp_path: Path) -> None:
    content = demo_beside(tmp_path, dividing, "tiff")
    content["survey"]["time_plan"]["loops"] = 12
    content["response"] = []
    first = run(
        Experiment.parse(content, tmp_path), tmp_path / "first", in_process=True
    )
    assert first.summary["scores"]["events"] == 1
    content["specimen"]["movie"] = str(first.folder)
    again = run(
        Experiment.parse(content, tmp_path), tmp_path / "again", in_process=True
    )
    assert again.summary["scores"]["caught"] == 1


def test_a_truth_without_a_name_here_is_told(
    dividing: np.ndarray, tmp_path: Path
) -> None:
    content = demo_beside(tmp_path, dividing, "tiff")
    content["survey"]["time_plan"]["loops"] = 1
    del content["specimen"]["truth_map"]
    result = run(Experiment.parse(content, tmp_path), tmp_path / "run", in_process=True)
    notices = Run.open(result.folder).record["notices"]
    assert sum("truth_map" in notice for notice in notices) == 1
    assert result.summary["scores"] == {}
    # what the experiment does not look for is not missed
    with (tmp_path / "my_events.csv").open("a") as file:
        file.write("\n0;50;60;prophase\n")
    content["specimen"]["truth_map"] = {"anaphase": "division"}
    content["survey"]["time_plan"]["loops"] = 12
    result = run(
        Experiment.parse(content, tmp_path), tmp_path / "second", in_process=True
    )
    assert set(result.summary["scores"]["by_name"]) == {"division"}
    assert result.summary["scores"]["recall"] == 1


def test_a_movie_that_is_broken_is_refused_before_anything(
    dividing: np.ndarray, tmp_path: Path
) -> None:
    content = demo_beside(tmp_path, dividing, "tiff")
    path = tmp_path / content["specimen"]["movie"]
    path.write_bytes(path.read_bytes()[: 10**5])
    with pytest.raises(Refused, match=r"my_movie.tif cannot be read"):
        run(Experiment.parse(content, tmp_path), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_published_model_on_a_published_movie(tmp_path: Path) -> None:
    """How many it catches is a figure for the report; this is what must hold."""
    if not (SHARED / "models" / "unet2d_nuclei_broad").is_dir():
        pytest.skip("the shared data folder is not beside the checkout")
    pytest.importorskip("bioimageio.spec", reason="extra 'bioimageio' reads packages")
    result = run(HERE / "mitocheck.yaml", tmp_path / "run")
    assert (result.outcome, result.exit_code) == ("completed", 0)
    scores = result.summary["scores"]
    assert scores["events"] == 3
    assert scores["caught"] >= 1
