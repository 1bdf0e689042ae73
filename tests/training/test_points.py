"""Folders of images with points and of movies with events."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile

from smartscope.errors import Refused
from smartscope.pairs.assembly import write_image
from smartscope.pairs.pointed import read_pointed, read_points
from smartscope.training.point_source import PointSource
from smartscope.training.points import PointFolder
from smartscope.training.settings import HeatSettings


def write_table(path: Path, names: str, rows: Sequence[Sequence[float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names.split(","))
        writer.writerows(rows)


def write_points(folder: Path, n: int = 8, edge: int = 64) -> Path:
    """One bright pixel on each point."""
    rng = np.random.default_rng(4)
    (folder / "images").mkdir(parents=True)
    for i in range(n):
        at = rng.integers(6, edge - 6, (5, 2))
        image = rng.integers(90, 110, (edge, edge)).astype(np.uint16)
        image[at[:, 0], at[:, 1]] = 5000
        tifffile.imwrite(folder / "images" / f"i{i}.tif", image)
        write_table(
            folder / "points" / f"i{i}.csv",
            "index,y,x",
            [(k, *p) for k, p in enumerate(at)],
        )
    return folder


def write_events(folder: Path, n: int = 5, frames: int = 9) -> Path:
    """A pixel that is bright in the frame of its event alone."""
    rng = np.random.default_rng(5)
    (folder / "movies").mkdir(parents=True)
    for i in range(n):
        movie = rng.integers(90, 110, (frames, 64, 64)).astype(np.uint16)
        at = np.column_stack([[1, 4, 7], rng.integers(6, 58, (3, 2))])
        movie[tuple(at.T)] = 5000
        tifffile.imwrite(folder / "movies" / f"m{i}.tif", movie)
        write_table(folder / "events" / f"m{i}.csv", "frame,y,x", at.tolist())
    return folder


def settings(**more: object) -> HeatSettings:
    return HeatSettings.model_validate({"patch_px": 48, **more})


def test_images_are_parted_and_no_point_is_lost(tmp_path: Path) -> None:
    folder = PointFolder.read(write_points(tmp_path / "d", n=20), settings())
    images = [one for part in folder.parts.values() for one in part]
    assert len(images) == 20
    assert all(folder.parts.values())
    assert folder.smallest_px == 64
    for one in images:
        assert one.points.shape == (5, 3)
        t, y, x = one.points.astype(int).T
        assert (one.frames[t, y, x] == 5000).all()
    again = PointFolder.read(tmp_path / "d", settings())
    assert [o.name for o in again.parts["test"]] == [
        o.name for o in folder.parts["test"]
    ]


def test_ome_zarr_is_read_as_tiff_is(tmp_path: Path) -> None:
    events = write_events(tmp_path / "d")
    told = {one.name: one for one in read_pointed(events, 3)}
    for path in sorted((events / "movies").iterdir()):
        movie = tifffile.imread(path)
        write_image(path.with_suffix(".ome.zarr"), movie, 0.5, {})
        path.unlink()
    again = read_pointed(events, 3)
    assert [one.name for one in again] == sorted(told)
    for one in again:
        np.testing.assert_array_equal(one.frames, told[one.name].frames)
        assert one.sha256 == told[one.name].sha256


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    points = write_points(tmp_path / "d")
    image = tifffile.imread(points / "images" / "i0.tif")
    write_image(points / "images" / "i0.ome.zarr", image[None], 0.5, {})
    with pytest.raises(Refused, match=r"i0\.ome\.zarr and i0\.tif in .* have one name"):
        read_pointed(points)


def test_labels_are_points_in_their_middles(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for i in range(6):
        labels = np.zeros((64, 64), np.uint16)
        labels[10:15, 20:31], labels[40:43, 40:43] = 3, 7
        tifffile.imwrite(tmp_path / "labels" / f"{i}.tif", labels)
        image = (rng.integers(0, 90, (64, 64)) + 300 * (labels > 0)).astype(np.uint16)
        tifffile.imwrite(tmp_path / "images" / f"{i}.tif", image)
    folder = PointFolder.read(tmp_path, settings(seed=1))
    points = folder.parts["train"][0].points
    assert points.tolist() == [[0, 12, 25], [0, 41, 41]]


@pytest.mark.parametrize("watch", [False, True])
def test_a_patch_holds_its_points_whichever_way_it_is_turned(
    tmp_path: Path, watch: bool
) -> None:
    parts = PointFolder.read(write_points(tmp_path / "d"), settings()).parts
    source = PointSource(parts["train"], parts["validation"], 1)
    seen = 0
    for seed in range(40):
        frames, points = source.draw(np.random.default_rng(seed), 48, watch=watch)
        assert frames.shape == (1, 48, 48)
        assert frames.dtype == np.float32
        inside = points[((points > 3) & (points < 44)).all(axis=1)]
        for y, x in np.rint(inside).astype(int):
            around = frames[0, y - 2 : y + 3, x - 2 : x + 3]
            assert around.max() > np.median(frames) + 3 * frames.std() / 2
        seen += len(inside)
    assert seen > 40


def test_an_event_is_shown_in_its_own_frame_and_not_beside_it(tmp_path: Path) -> None:
    parts = PointFolder.read(write_events(tmp_path / "d"), settings(frames=3)).parts
    assert parts["train"][0].slack == 1
    source = PointSource(parts["train"], parts["validation"], 3)
    seen = 0
    for seed in range(40):
        frames, points = source.draw(np.random.default_rng(seed), 48)
        assert frames.shape == (3, 48, 48)
        bright = frames > np.median(frames) + 0.3 * np.ptp(frames)
        inside = points[((points > 3) & (points < 44)).all(axis=1)]
        for y, x in np.rint(inside).astype(int):
            assert bright[2, y - 2 : y + 3, x - 2 : x + 3].any()
        seen += len(inside)
    assert seen > 10


@pytest.mark.parametrize("names", ["y,x", "x,other,y", "Row, Column", "axis-0,axis-1"])
def test_points_of_other_programs_are_read(tmp_path: Path, names: str) -> None:
    order = names.lower().replace(" ", "").split(",")
    values = {"y": 2.5, "x": 7.0, "row": 2.5, "column": 7.0, "other": 0.0}
    values |= {"axis-0": 2.5, "axis-1": 7.0}
    write_table(tmp_path / "p.csv", names, [[values[name] for name in order]])
    assert read_points(tmp_path / "p.csv", 2).tolist() == [[2.5, 7.0]]
    with pytest.raises(Refused, match="The columns"):
        read_points(tmp_path / "p.csv", 3)


def test_what_cannot_be_learned_from_is_refused(tmp_path: Path) -> None:
    data = write_points(tmp_path / "d")
    with pytest.raises(Refused, match="There is no folder"):
        PointFolder.read(tmp_path / "none", settings())
    with pytest.raises(Refused, match=r"holds no movies/"):
        PointFolder.read(data, settings(frames=2))
    table = data / "points" / "i3.csv"
    good = table.read_text()
    write_table(table, "y,x", [(3, 64)])
    with pytest.raises(Refused, match=r"lie outside of i3\.tif: 3, 64"):
        PointFolder.read(data, settings())
    table.write_text("y,x\n3,four\n")
    with pytest.raises(Refused, match="Line 2 of"):
        PointFolder.read(data, settings())
    table.write_bytes(b"y,x\n\xff\xfe1,2\n")
    with pytest.raises(Refused, match="cannot be read"):
        PointFolder.read(data, settings())
    table.unlink()
    with pytest.raises(Refused, match=r"have no partner \(i3\)"):
        PointFolder.read(data, settings())
    table.write_text(good)
    image = data / "images" / "i0.tif"
    kept = (data / "images" / "i1.tif").read_bytes()
    (data / "images" / "i1.tif").write_bytes(image.read_bytes())
    with pytest.raises(Refused, match="i1 and i0 are the same image"):
        PointFolder.read(data, settings())
    (data / "images" / "i1.tif").write_bytes(kept)
    for table in (data / "points").iterdir():
        table.write_text("y,x\n")
    with pytest.raises(Refused, match="There are too few: 8 images"):
        PointFolder.read(data, settings())
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refused, match=r"holds neither points/ nor"):
        PointFolder.read(tmp_path / "empty", settings())
