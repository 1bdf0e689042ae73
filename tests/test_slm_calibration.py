"""A light modulator is registered to the camera by spots that it projects."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from smartscope.cli.app import app
from smartscope.errors import Refused
from smartscope.microscope import (
    Microscope,
    calibrate_slm,
    find_microscope,
    open_microscope,
)

CELLS = {"time": "virtual", "cells": 100}


@pytest.fixture(scope="module")
def scope() -> Iterator[Microscope]:
    with open_microscope("simulated", specimen=CELLS) as scope:
        yield scope


def test_it_finds_the_map_again_in_a_field_of_cells(scope: Microscope) -> None:
    got = calibrate_slm(scope, channel="Stimulation", exposure_ms=100)
    assert scope.settings.slm is not None
    # where the corners of the chip lie, to half a pixel of the modulator
    corners = np.array([[c, r, 1] for c in (0, 511) for r in (0, 511)])
    there = corners @ np.asarray(got.affine).T
    assert there == pytest.approx(
        corners @ np.asarray(scope.settings.slm.affine).T, abs=0.5
    )
    assert 4 <= got.found <= got.projected == 25
    assert got.residual_px <= got.largest_px < 0.5
    told = tomllib.loads("\n".join(got.lines()))["slm"]
    assert told["device"] == "SLM"
    assert np.asarray(told["affine"]) == pytest.approx(np.asarray(got.affine), rel=1e-5)
    assert scope.simulation is not None
    assert scope.simulation.stand.slm is not None
    assert scope.simulation.stand.slm.shown().max() == 0, "dark at the end"


def test_binning_and_region_change_nothing(scope: Microscope) -> None:
    core = scope.core
    whole = calibrate_slm(scope, channel="Stimulation", exposure_ms=100, grid=4)
    core.setProperty("Camera", "Binning", 2)
    core.setROI(30, 20, 200, 220)
    part = calibrate_slm(scope, channel="Stimulation", exposure_ms=50, grid=5)
    core.clearROI()
    core.setProperty("Camera", "Binning", 1)
    middle = np.array([250, 260, 1])
    assert np.asarray(part.affine) @ middle == pytest.approx(
        np.asarray(whole.affine) @ middle, abs=0.5
    )


def test_what_has_gone_off_is_measured() -> None:
    with open_microscope("simulated_ugly", specimen=CELLS) as scope:
        assert scope.settings.slm is not None
        got = calibrate_slm(scope, channel="Stimulation", exposure_ms=100, grid=4)
        stated = np.asarray(scope.settings.slm.affine)
    middle = np.array([255.5, 255.5, 1])
    # the pattern falls 1.0 and -0.5 µm off: so many pixels of 0.65 µm earlier
    shifted = np.array([255.5 - 1 / 0.65, 255.5 + 0.5 / 0.65, 1])
    assert np.asarray(got.affine) @ middle == pytest.approx(stated @ shifted, abs=0.5)


def test_too_few_spots_are_refused(scope: Microscope) -> None:
    with pytest.raises(Refused) as caught:
        calibrate_slm(scope, channel="Stimulation", exposure_ms=0.5)
    assert "of 25 spots were found" in caught.value.what
    with pytest.raises(Refused, match="no preset 'Stim'"):
        calibrate_slm(scope, channel="Stim", exposure_ms=50)
    with pytest.raises(Refused, match="no light modulator 'Path'"):
        calibrate_slm(scope, channel="Stimulation", exposure_ms=50, device="Path")


def test_a_saturated_picture_is_refused(scope: Microscope) -> None:
    scope.core.setProperty("Camera", "BitDepth", 8)
    with pytest.raises(Refused, match="are saturated"):
        calibrate_slm(scope, channel="Stimulation", exposure_ms=2000)
    scope.core.setProperty("Camera", "BitDepth", 16)


def test_the_command_prints_what_to_paste(tmp_path: Path) -> None:
    text = find_microscope("simulated").read_text(encoding="utf-8")
    text += '\n[simulation.specimen]\ntime = "virtual"\ncells = 50\n'
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["calibrate", "slm", "--microscope", str(path)])
    assert done.exit_code == 0, done.output
    _, _, pasted = done.stdout.partition("For the microscope's file:")
    assert tomllib.loads(pasted)["slm"]["intensity"] == 255
    assert "of 25 found" in done.stdout
    words = ["--microscope", str(path), "--exposure-ms=1", "--grid=2", "--json"]
    told = CliRunner().invoke(app, ["calibrate", "slm", *words])
    assert told.exit_code == 2
    assert "spots were found" in json.loads(told.stdout)["error"]["what"]
