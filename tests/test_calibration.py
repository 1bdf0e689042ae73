"""Dark and flat field of a microscope: read, checked, copied, or refused in words."""

from __future__ import annotations

import importlib.util
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smartscope.errors import Refused
from smartscope.inference import Corrections
from smartscope.microscope import Microscope, open_microscope
from smartscope.microscope.calibration import Calibration
from smartscope.storage import read_calibration, write_calibration

_SPEC = importlib.util.spec_from_file_location(
    "plane_nets", Path(__file__).parent / "loop" / "plane_nets.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
nets = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(nets)

SPECIMEN = {"time": "virtual", "cells": 3}
DARK = np.full((64, 64), 100, np.uint16)
EVEN = np.full((64, 64), 300, np.uint16)


def opened(
    folder: Path, dark: Any = None, flats: dict[str, Any] | None = None
) -> Microscope:
    path = nets.write_microscope(folder, dark=dark, flats=flats)
    return open_microscope(path, specimen=SPECIMEN)


def fields(scope: Microscope) -> Corrections:
    assert scope.calibration is not None
    return scope.calibration.corrections


def test_a_flat_field_in_counts_is_less_the_dark_field(tmp_path: Path) -> None:
    half = EVEN.copy()
    half[:, 32:] = 200
    with opened(tmp_path, DARK, {"": half}) as scope:
        given = fields(scope)
        assert given.dark is not None
        assert (given.dark == 100).all()
        flat = given.flat("any")
        assert flat is not None
        # 200 and 100 above the dark, of mean 150
        assert np.unique(flat) == pytest.approx([2 / 3, 4 / 3])
        assert flat.dtype == given.dark.dtype == np.float32
        told = json.loads(json.dumps(scope.describe()))["calibration"]
        assert told["dark"] == str(tmp_path / "dark.tif")


def test_one_of_floating_point_is_taken_as_it_is(tmp_path: Path) -> None:
    half = EVEN.astype(np.float32)
    half[:, 32:] = 100
    with opened(tmp_path, DARK, {"FITC": half}) as scope:
        flat = fields(scope).flat("FITC")
        assert flat is not None
        assert np.unique(flat) == pytest.approx([0.5, 1.5])
        assert fields(scope).flat("DAPI") is None


def test_of_several_frames_the_mean_is_taken(tmp_path: Path) -> None:
    with opened(tmp_path, np.stack([DARK, DARK + 4])) as scope:
        dark = fields(scope).dark
        assert dark is not None
        assert (dark == 102).all()
        assert fields(scope).flats == {}


def test_a_long_series_is_not_held_in_memory(tmp_path: Path) -> None:
    long = np.full((100, 64, 64), 100, np.uint16)
    tifffile.imwrite(tmp_path / "dark.tif", long, photometric="minisblack")

    def read() -> Calibration | None:
        dark = Path("dark.tif")
        return Calibration.read(dark, None, base=tmp_path, shape=(64, 64), channels=[])

    read()  # what is imported meanwhile is none of it
    tracemalloc.start()
    try:
        given = read()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert given is not None
    assert given.corrections.dark is not None
    assert (given.corrections.dark == 100).all()
    assert most < long.nbytes


def test_without_them_there_is_no_calibration(tmp_path: Path) -> None:
    with opened(tmp_path) as scope:
        assert scope.calibration is None


WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (
        DARK[:32],
        {},
        r"camera.dark: .* has 32 x 64 pixels, and the camera gives 64 x 64",
    ),
    (
        None,
        {"FTIC": EVEN},
        "camera.flat.FTIC: there is no channel 'FTIC'. Did you mean",
    ),
    (DARK, {"": DARK}, "4096 pixels of .*flat.tif are not above the dark field"),
    (None, {"": np.zeros((64, 64), np.float32)}, "4096 pixels .* are not above zero"),
    (np.full((64, 64), np.nan, np.float32), {}, "camera.dark: .* no number"),
    (np.zeros((64, 64, 3), np.uint8), {}, "camera.dark: .* cannot be taken"),
]


@pytest.mark.parametrize(("dark", "flats", "told"), WRONG)
def test_what_cannot_be_used_is_refused_at_opening(
    tmp_path: Path, dark: Any, flats: dict[str, Any], told: str
) -> None:
    with pytest.raises(Refused, match=told):
        opened(tmp_path, dark, flats)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = nets.write_microscope(tmp_path, dark=DARK)
    (tmp_path / "dark.tif").unlink()
    with pytest.raises(Refused, match=r"camera\.dark: there is no file"):
        open_microscope(path, specimen=SPECIMEN)
    (tmp_path / "dark.tif").write_text("no picture")
    with pytest.raises(Refused, match=r"camera\.dark: .* cannot be taken"):
        open_microscope(path, specimen=SPECIMEN)


def test_what_is_copied_is_what_is_read(tmp_path: Path) -> None:
    @given(
        st.none() | hnp.arrays(np.float32, (3, 4), elements=st.floats(0, 9, width=32)),
        st.dictionaries(
            st.sampled_from(["", "FITC", "a/b", "a b", "GFP (long)"]),
            hnp.arrays(np.float32, (3, 4), elements=st.floats(0.5, 2, width=32)),
            max_size=4,
        ),
        st.uuids(),
    )
    def holds(dark: Any, flats: dict[str, Any], name: Any) -> None:
        folder = tmp_path / str(name)
        folder.mkdir(exist_ok=True)
        if (folder / "calibration").exists():
            return
        written = write_calibration(folder, Corrections(dark, flats), {})
        again = read_calibration(folder, json.loads(json.dumps(written)))
        if dark is None and not flats:
            assert again is None
            return
        assert again is not None
        assert list(again.flats) == list(flats)
        for channel, flat in flats.items():
            assert np.array_equal(again.flats[channel], flat)
        assert (again.dark is None) == (dark is None)
        assert dark is None or np.array_equal(again.dark, dark)

    holds()


def test_a_copy_that_is_another_is_refused(tmp_path: Path) -> None:
    written = write_calibration(tmp_path, Corrections(DARK.astype(np.float32), {}), {})
    path = tmp_path / written[0]["file"]
    tifffile.imwrite(path, DARK)
    with pytest.raises(Refused, match="is not the one that the run was made with"):
        read_calibration(tmp_path, written)
    path.unlink()
    with pytest.raises(Refused, match="cannot be read"):
        read_calibration(tmp_path, written)
