"""Microscopes: found, read, opened, guarded, closed; or refused with a reason."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smartscope.acquisition import Limits, VirtualClock
from smartscope.errors import LimitBroken, Refused
from smartscope.microscope import (
    Microscope,
    find_microscope,
    open_microscope,
    read_microscope,
    shipped_microscopes,
)

needs_demo = pytest.mark.skipif(
    importlib.util.find_spec("mm_test_adapters") is None,
    reason="needs the extra 'demo' (mm-test-adapters)",
)
MINIMAL = {"time": "virtual", "cells": 5}


@pytest.fixture(params=["simulated", pytest.param("demo", marks=needs_demo)])
def scope(request: pytest.FixtureRequest) -> Any:
    specimen = MINIMAL if request.param == "simulated" else {}
    with open_microscope(request.param, specimen=specimen) as scope:
        yield scope


def test_both_microscopes_have_the_same_names(scope: Microscope) -> None:
    core = scope.core
    presets = set(core.getAvailableConfigs("Channel"))
    # the demo devices have no light modulator
    slm = {"Stimulation"} if scope.settings.slm is not None else set()
    assert presets == {"DAPI", "FITC", "Cy5", "Rhodamine"} | slm
    assert {"10X", "20X", "40X"} == set(core.getAvailableConfigs("Objective"))
    assert {"HighRes", "MedRes", "LowRes"} == set(core.getAvailableConfigs("Camera"))
    names = {"Camera", "XY", "Z", "Objective", "Dichroic", "Emission", "Excitation"}
    names |= {"White Light Shutter", "LED", "LED Shutter", "Path"}
    assert names <= set(core.getLoadedDevices())
    assert scope.camera_shape() == (512, 512)
    assert core.getImageBitDepth() == 16
    assert core.getPixelSizeUm() == pytest.approx(0.65)
    assert core.getCurrentConfig("Channel") == "FITC"
    assert not core.getShutterOpen()
    core.setPosition(-30)  # where the turret may turn
    core.waitForSystem()
    for preset, pixel_um in (("20X", 0.325), ("40X", 0.1625)):
        core.setConfig("Objective", preset)
        assert core.getPixelSizeUm() == pytest.approx(pixel_um)


def test_it_takes_images_and_describes_itself(scope: Microscope) -> None:
    scope.core.setConfig("Channel", "Rhodamine")
    scope.core.setExposure(5)
    scope.core.snapImage()
    assert scope.core.getImage().shape == scope.camera_shape()
    assert not scope.core.getShutterOpen()
    record = json.loads(json.dumps(scope.describe()))
    assert record["name"] == scope.name
    assert "Rhodamine" in record["presets"]["Channel"]
    assert record["limits"]["z_um"] == [-50, 50]
    assert record["versions"]["pymmcore-plus"]


def test_it_is_guarded(scope: Microscope) -> None:
    scope.core.setXYPosition(10, 10)
    scope.core.waitForDevice("XY")
    with pytest.raises(LimitBroken):
        scope.core.setXYPosition(9000, 0)
    with pytest.raises(LimitBroken):
        scope.core.setPosition(-51)
    with pytest.raises(LimitBroken):
        scope.core.setExposure(1e5)
    scope.core.setPosition(2)


def test_closing_puts_the_light_out_once_and_for_all(scope: Microscope) -> None:
    scope.core.setAutoShutter(False)
    scope.core.setShutterOpen(True)
    scope.close()
    scope.close()
    assert set(scope.core.getLoadedDevices()) == {"Core"}


def test_limits_are_tightened_and_never_widened() -> None:
    limits = Limits(x_um=(-100, 9000), exposure_ms=(1, 50))
    with open_microscope("simulated", specimen=MINIMAL, limits=limits) as scope:
        assert scope.limits.x_um == (-100, 5000)
        assert scope.limits.exposure_ms == (1, 50)
        assert scope.limits.y_um == (-5000, 5000)
    with pytest.raises(Refused, match="outside the microscope's"):
        open_microscope("simulated", limits=Limits(x_um=(6000, 7000)))


def test_the_specimen_of_the_experiment_replaces_field_by_field(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'kind = "simulated"\n[simulation]\nseed = 3\n'
        '[simulation.specimen]\ncells = 7\ntime = "virtual"\n'
    )
    with open_microscope(path, specimen={"speed_um_per_min": 2}, seed=4) as scope:
        assert scope.name == "mine"
        assert scope.simulated
        assert isinstance(scope.clock, VirtualClock)
        assert scope.clock.now_s() == 0
        simulation = scope.simulation
        assert simulation is not None
        assert simulation.settings.seed == 7
        assert simulation.settings.specimen.cells == 7
        assert simulation.settings.specimen.speed_um_per_min == 2
        truth = scope.truth()
        assert truth is not None
        assert truth.events == ()


def test_the_camera_is_turned_as_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "turned.toml"
    path.write_text('kind = "simulated"\norientation = [[0, -1], [1, 0]]\n')
    images = []
    for name in ("simulated", path):
        with open_microscope(name, specimen=MINIMAL | {"cells": 60}) as scope:
            scope.core.setExposure(100)
            scope.core.snapImage()
            images.append(scope.core.getImage().astype(float))
    straight, turned = images
    # stage x is against the rows, stage y along the columns
    assert np.corrcoef(np.rot90(straight).ravel(), turned.ravel())[0, 1] > 0.95
    assert np.corrcoef(straight.ravel(), turned.ravel())[0, 1] < 0.5


def test_the_sensor_takes_the_movies_size(tmp_path: Path) -> None:
    import tifffile

    movie = tmp_path / "movie.tif"
    frames = np.random.default_rng(1).integers(0, 255, (3, 60, 90)).astype(np.uint8)
    tifffile.imwrite(movie, frames, photometric="minisblack")
    specimen = {
        "movie": str(movie),
        "pixel_size_um": 0.09,
        "frame_interval_s": 10,
        "time": "virtual",
    }
    with open_microscope("simulated", specimen=specimen) as scope:
        assert scope.camera_shape() == (60, 90)
        assert scope.core.getPixelSizeUm() == pytest.approx(0.09)
        scope.core.setExposure(100)
        scope.core.snapImage()
        image = scope.core.getImage().ravel().astype(float)
        assert np.corrcoef(image, frames[0].ravel())[0, 1] > 0.98
        assert scope.truth() is None
    path = tmp_path / "mine.toml"
    path.write_text(
        'kind = "simulated"\n[simulation]\nmovie_sensor = false\n'
        "[simulation.sensor]\nshape = [128, 96]\n"
    )
    with open_microscope(path, specimen=specimen) as scope:
        assert scope.camera_shape() == (128, 96)
        assert scope.core.getPixelSizeUm() == pytest.approx(0.65)


@needs_demo
def test_a_real_microscope_ignores_the_specimen_with_a_notice() -> None:
    with open_microscope("demo", specimen={"anything": 1}) as scope:
        assert not scope.simulated
        assert scope.truth() is None
        (notice,) = scope.notices
        assert "anything" in notice
        assert "ignored" in notice


@needs_demo
def test_pixel_sizes_of_the_file_replace_those_of_the_configuration(
    tmp_path: Path,
) -> None:
    cfg = find_microscope("demo").with_suffix(".cfg")
    path = tmp_path / "own.toml"
    path.write_text(
        f'kind = "micromanager"\ncfg = {str(cfg)!r}\n'
        'objective = "Nikon 10X S Fluor"\n'
        '[pixel_size_um]\n"Nikon 10X S Fluor" = 0.31\n'
    )
    with open_microscope(path) as scope:
        assert scope.core.getPixelSizeUm() == pytest.approx(0.31)
    good = path.read_text()
    path.write_text(good.replace("10X S Fluor", "60X Plan"))
    with pytest.raises(Refused, match="No turret"):
        open_microscope(path)
    path.write_text(good.replace("10X S Fluor", "20X Plan Fluor ELWD"))
    with pytest.raises(Refused, match="turret stands at 'Nikon 10X S Fluor'"):
        open_microscope(path)


def test_without_the_demo_devices_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *a: None if name == "mm_test_adapters" else found(name, *a),
    )
    with pytest.raises(Refused) as told:
        open_microscope("demo")
    assert "smartscope[demo]" in told.value.way_out


REFUSED = {
    'kind = "simulatid"': "kind",
    'kind = "simulated"\nlimit = 1': "Did you mean 'limits'",
    'kind = "simulated"\n[limits]\nx_umm = [0, 1]': "Did you mean 'x_um'",
    'kind = "simulated"\n[simulation.sensor]\ngian = 1': "Did you mean 'gain'",
    'kind = "simulated"\n[limits]\nx_um = [1, 0]': "lowest, highest",
    'kind = "simulated"\n[pixel_size_um]\n"Nikon 10X S Fluor" = 0': "greater than 0",
    'kind = "simulated"\n[pixel_size_um]\n"Other" = 1': "no pixel size",
    'kind = "simulated"\nobjective = "Nikon"': "Nikon",
    'kind = "simulated"\nchannel_group = "Chanel"': "Did you mean 'Channel'",
    'kind = "simulated"\nuntrusted_busy = ["XYZ"]': "no device 'XYZ'",
    'kind = "simulated"\n[light]\npower_property = ["Lite", "Power"]': "'Light'",
    'kind = "micromanager"': "names no configuration",
    'kind = "micromanager"\ncfg = "none.cfg"': "cannot be read",
    "kind = simulated": "cannot be read",
    "": "kind: must be given",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_wrong_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(Refused) as told:
        open_microscope(path)
    assert REFUSED[text] in str(told.value)
    assert told.value.exit_code == 2


@needs_demo
def test_a_broken_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.cfg").write_text("Device,Camera,NoSuchAdapter,DCam\n")
    path = tmp_path / "bad.toml"
    path.write_text('kind = "micromanager"\ncfg = "bad.cfg"\n')
    with pytest.raises(Refused, match="cannot load"):
        open_microscope(path)
    (tmp_path / "bad.cfg").write_text("Property,Core,Initialize,1\n")
    with pytest.raises(Refused, match="no camera"):
        open_microscope(path)


@pytest.mark.parametrize(
    ("specimen", "complaint"),
    [
        ({"cels": 3}, "Did you mean 'cells'"),
        ({"cells": "many"}, "valid integer"),
        (
            {"movie": "nowhere.tif", "pixel_size_um": 1, "frame_interval_s": 1},
            "There is no movie at",
        ),
        ({"movie": "nowhere.tif", "pixel_size_um": 0}, "greater than 0"),
    ],
)
def test_a_wrong_specimen_is_refused(specimen: dict[str, Any], complaint: str) -> None:
    with pytest.raises(Refused) as told:
        open_microscope("simulated", specimen=specimen)
    assert complaint in str(told.value)


def test_microscopes_are_found_by_name_and_by_path() -> None:
    assert {"simulated", "demo"} <= set(shipped_microscopes())
    for name in shipped_microscopes():
        path = find_microscope(name)
        assert find_microscope(path) == path
        read_microscope(path)
    with pytest.raises(Refused, match="Did you mean 'simulated'"):
        find_microscope("simulatd")
    with pytest.raises(Refused, match="not there"):
        find_microscope("nowhere/x.toml")
