"""Every key of the simulated microscope is described, and what is shipped is right."""

from pathlib import Path

import pytest

from smartscope.errors import Refused
from smartscope.microscope.settings import find_microscope, read_microscope
from smartscope.simulation import (
    AutofocusSettings,
    SensorSettings,
    SpecimenSettings,
    UglinessSettings,
)

TOLD = (Path(__file__).parents[2] / "docs" / "simulation.md").read_text("utf-8")
NEW_OF_CELLS = [k for k in SpecimenSettings.model_fields if k.endswith("_per_hour")]


@pytest.mark.parametrize(
    "key",
    [
        *UglinessSettings.model_fields,
        *AutofocusSettings.model_fields,
        *[k for k in SensorSettings.model_fields if "pattern" in k or "hot" in k],
        *NEW_OF_CELLS,
    ],
)
def test_each_fault_stands_in_the_document(key: str) -> None:
    assert f"`{key}" in TOLD or f", {key}" in TOLD


def test_everything_is_off_unless_it_is_set() -> None:
    ugly = UglinessSettings()
    # the speed of stages and what a stage needs to settle are not faults
    not_faults = {"stage_speed_um_per_s", "z_speed_um_per_s", "settle_ms", "creep_ms"}
    # a turret takes its time, too: as long as any wheel, if nothing is said
    assert ugly.turret_ms is None
    not_faults.add("turret_ms")
    for key, value in ugly.model_dump().items():
        if key not in not_faults:
            assert value in (0.0, (0.0, 0.0), True), key
    assert not AutofocusSettings().present
    assert (SensorSettings().offset_pattern, SensorSettings().hot_pixels) == (0, 0)


def test_the_ugly_microscope_has_what_it_says() -> None:
    simulation = read_microscope(find_microscope("simulated_ugly")).simulation
    ugly = simulation.ugliness
    assert (ugly.drift_um_per_h, ugly.backlash_um) == (1, 1)
    assert (ugly.rearm_ms, ugly.filter_ms) == (200, 50)
    assert ugly.creep_um > 0
    assert ugly.flicker > 0
    assert list(simulation.autofocus.lost_in) == ["well D"]


def test_what_runs_on_the_good_one_runs_on_the_ugly_one() -> None:
    good, ugly = (
        read_microscope(find_microscope(name)).model_dump(
            exclude={"description", "simulation"}
        )
        for name in ("simulated", "simulated_ugly")
    )
    assert ugly == good


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("backlash_um = 1.0", "backlash_um = -1.0", "must not be below 0"),
        ("creep_ms = 40.0", "creep_ms = 0", "greater than 0"),
        ("lock_ms = 150.0", "lok_ms = 150.0", "Did you mean 'lock_ms'"),
        ("x_um = [330.0, 800.0]", "x_um = [800.0, 330.0]", "must rise"),
        ("flicker_correlation = 0.7", "flicker_correlation = 1.0", "less than 1"),
    ],
)
def test_a_mistake_in_its_file_is_told(
    tmp_path: Path, right: str, wrong: str, complaint: str
) -> None:
    text = find_microscope("simulated_ugly").read_text("utf-8")
    assert right in text
    (tmp_path / "mine.toml").write_text(text.replace(right, wrong), "utf-8")
    with pytest.raises(Refused, match=complaint):
        read_microscope(tmp_path / "mine.toml")
