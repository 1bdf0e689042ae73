"""Movies of every kind are read frame by frame, or refused in one sentence."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from smartscope.acquisition import Frame
from smartscope.errors import Refused
from smartscope.storage import Journal, Movie, Recorder, RunFolder

MOVIE = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)


def whole(path: str | Path) -> np.ndarray:
    """Read a movie backwards, so that each frame is found by its number."""
    movie = Movie.open(path)
    frames = [movie.read(i) for i in reversed(range(len(movie)))]
    assert movie.shape == (len(movie), *frames[0].shape)
    assert {f.dtype for f in frames} == {movie.dtype}
    return np.stack(frames[::-1])


@pytest.mark.parametrize(
    ("shape", "how"),
    [
        ((5, 6, 7), {"imagej": True, "metadata": {"axes": "TYX"}}),
        ((5, 6, 7), {"ome": True, "metadata": {"axes": "TYX"}}),
        ((5, 1, 6, 7), {"ome": True, "metadata": {"axes": "TCYX"}}),
        ((5, 6, 7), {}),
        ((5, 6, 7), {"compression": "zlib"}),
        ((5, 6, 7), {"compression": "zlib", "byteorder": ">"}),
        ((5, 6, 7), {"byteorder": ">"}),
        ((5, 6, 7), {"imagej": True, "metadata": {"axes": "ZYX"}}),
        ((5, 6, 7), {"volumetric": True, "tile": (16, 16, 16)}),
    ],
)
def test_tiffs(tmp_path: Path, shape: tuple[int, ...], how: dict[str, Any]) -> None:
    path = tmp_path / ("a.ome.tif" if how.get("ome") else "a.tif")
    tifffile.imwrite(path, MOVIE.reshape(shape), photometric="minisblack", **how)
    assert np.array_equal(whole(path), MOVIE)
    movie = Movie.open(path)
    assert movie.dtype == np.dtype("u2")
    assert movie.levels == (209, pytest.approx(84.41))


def test_one_image_is_a_movie_of_one_frame(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", MOVIE[0])
    assert np.array_equal(whole(str(tmp_path / "a.tif")), MOVIE[:1])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_ome_zarr_image(tmp_path: Path, version: str) -> None:
    import tensorstore as ts

    group = tmp_path / "movie.ome.zarr"
    driver = "zarr3" if version == "0.5" else "zarr"
    store = ts.open(
        {"driver": driver, "kvstore": {"driver": "file", "path": str(group / "0")}},
        create=True,
        dtype=ts.uint16,
        shape=MOVIE.shape,
    ).result()
    store[...] = MOVIE
    scale = {"type": "scale", "scale": [1.0, 1.0, 1.0]}
    ome = {
        "version": version,
        "multiscales": [
            {
                "version": version,
                "axes": [{"name": n} for n in "tyx"],
                "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
            }
        ],
    }
    if version == "0.5":
        text = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
        (group / "zarr.json").write_text(json.dumps(text))
    else:
        (group / ".zgroup").write_text('{"zarr_format": 2}')
        (group / ".zattrs").write_text(json.dumps(ome))
    assert np.array_equal(whole(group), MOVIE)
    # before 0.3 the axes had no names; a folder with one image is that image
    file = group / (".zattrs" if version == "0.4" else "zarr.json")
    content = json.loads(file.read_text())
    ome = content if version == "0.4" else content["attributes"]["ome"]
    del ome["multiscales"][0]["axes"]
    file.write_text(json.dumps(content))
    assert np.array_equal(whole(tmp_path), MOVIE)


def test_a_recorded_run_is_a_movie(
    folder: RunFolder, journal: Journal, frames: Callable[..., Frame]
) -> None:
    recorder = Recorder(folder, journal)
    for i in range(5):
        frame = frames(i)
        recorder.append(
            frame, frame.encode_header(), image="survey_p0", index=(i, 0, 0)
        )
    burst = frames(5, (4, 4))
    recorder.append(burst, burst.encode_header(), image="burst_1", index=(0, 0, 0))
    recorder.close()
    for path in (folder.path, folder.raw, folder.raw / "survey_p0"):
        movie = whole(path)
        assert movie.shape == (5, 16, 24)
        assert movie[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert whole(folder.raw / "burst_1").shape == (1, 4, 4)
    other = RunFolder(folder.path).raw / "survey_p1"
    other.symlink_to(folder.raw / "survey_p0")
    series = folder.raw / "OME" / "zarr.json"
    series.write_text(series.read_text().replace('"burst_1"', '"survey_p1"'))
    with pytest.raises(Refused, match=r"name one, such as .*survey_p0"):
        whole(folder.path)


def test_what_is_no_movie_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("not a movie")
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.zarr").mkdir()
    (tmp_path / "broken.zarr" / "zarr.json").write_text('{"attributes": {"ome": {"')
    whole = tmp_path / "whole.tif"
    tifffile.imwrite(whole, MOVIE, photometric="minisblack", compression="zlib")
    (tmp_path / "cut.tif").write_bytes(whole.read_bytes()[:300])
    rgb = np.zeros((6, 7, 3), np.uint8)
    tifffile.imwrite(tmp_path / "rgb.tif", rgb, photometric="rgb")
    two = {"axes": "TCYX"}
    tifffile.imwrite(
        tmp_path / "two.ome.tif", np.zeros((3, 2, 6, 7), "u2"), ome=True, metadata=two
    )
    tifffile.imwrite(tmp_path / "nan.tif", np.full((6, 7), np.nan, np.float32))
    names = "text.tif folder broken.zarr cut.tif rgb.tif two.ome.tif nan.tif not_there"
    for name in names.split():
        with pytest.raises(Refused, match=name):
            # what the format says shows at opening, what the pixels hold when read
            assert Movie.open(tmp_path / name).levels


def test_a_file_is_open_as_long_as_its_movie(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, MOVIE, photometric="minisblack", compression="zlib")
    movie = Movie.open(path)
    for number in (-1, 5):
        with pytest.raises(IndexError):
            movie.read(number)
    read = movie.read(4)
    # an unclosed file would be a warning, and a warning an error
    del movie
    gc.collect()
    assert np.array_equal(read, MOVIE[4])
