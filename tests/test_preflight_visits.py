"""Preflight of visits: what could only fail is refused, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from smartscope.errors import Refused
from smartscope.microscope import open_microscope
from smartscope.preflight import Checked, check
from smartscope.settings import Experiment, names_by_place, tour_plans

HIGH = "Nikon 40X Plan Fluor ELWD"
FILE = f"""
kind = "simulated"
focus_direction = "toward"
objective = "Nikon 10X S Fluor"

[pixel_size_um]
"Nikon 10X S Fluor" = 0.65
"{HIGH}" = 0.1625

[turret]
may_turn = true
safe_z_um = -30.0

[objectives."{HIGH}"]
parfocal_um = 8.0
parcentric_um = [12.0, -7.0]
z_um = [-40.0, 20.0]

[limits]
x_um = [-500.0, 900.0]
z_um = [-50.0, 50.0]
exposure_ms = [1.0, 500.0]

[simulation.sensor]
shape = [256, 256]
"""
PLATE = {
    "plate": {"rows": 2, "columns": 2, "well_spacing": 0.3, "well_size": 0.2},
    "a1_center_xy": [0, 0],
    "selected_wells": [[0, 1], [0, 1]],
}


def checked(
    tmp_path: Path, *, file: str = FILE, survey: dict[str, Any], **more: Any
) -> Checked:
    path = tmp_path / "scope.toml"
    path.write_text(file, encoding="utf-8")
    top = {k: more.pop(k) for k in ("limits", "longest_wait_s") if k in more}
    experiment = Experiment.parse(
        {
            "microscope": str(path),
            "specimen": {"cells": 1, "time": "virtual"},
            "survey": {
                "axis_order": "tpc",
                "stage_positions": [
                    [0, 0, 0],
                    {"x": 300, "y": 0, "z": 0, "name": "dish"},
                ],
                "channels": [{"config": "FITC", "exposure": 10}],
                "time_plan": {"interval": 10, "loops": 3},
                **survey,
            },
            "analysis": {"occurrences": {"here": {"kind": "count", "above": 0}}},
            "response": [{"policy": "visit", "on": "here", "objective": HIGH, **more}],
            "storage": {"reserve_mb": 0},
            **top,
        }
    )
    given = {"specimen": experiment.specimen, "limits": experiment.limits}
    with open_microscope(experiment.microscope, **given) as scope:
        return check(experiment, scope, tmp_path / "run")


def test_what_is_right_is_told_with_its_time(tmp_path: Path) -> None:
    told = checked(
        tmp_path,
        survey={},
        most=6,
        z_planes=3,
        groups={"a": ["dish"]},
    )
    said = " ".join(told.notices)
    assert "6 visits in up to 3 tours" in said
    assert "hits at p0 are not visited" in said


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown objective": (
        {"objective": "Nikon 40X Plan Fluor"},
        "Did you mean 'Nikon 40X Plan",
    ),
    "not permitted": ({"file": FILE.replace("= true", "= false")}, "may_turn"),
    "not described": (
        {"objective": "Nikon 20X Plan Fluor ELWD"},
        "how 'Nikon 20X Plan Fluor ELWD' differs is not known",
    ),
    "no pixel size": (
        {"file": FILE.replace(f'"{HIGH}" = 0.1625\n', "")},
        f"pixel size with '{HIGH}'",
    ),
    "a place too near to the limits": (
        {"survey": {"stage_positions": [[0, 0, 0], [850, 0, 0]]}},
        "p1 could not all be reached: x_um would leave the limits -500 to 900",
    ),
    "a focus beyond its own limits": (
        {"survey": {"stage_positions": [[0, 0, 14]]}},
        "p0 could not all be reached: z_um would leave the limits -40 to 20",
    ),
    "limits that do not let it go away": (
        {"limits": {"z_um": [-20, 20]}},
        "safe_z_um -30",
    ),
    "no such channel": ({"channels": ["GFP"]}, "no preset 'GFP'"),
    "an exposure out of its limits": ({"exposure_ms": 900}, "exposure_ms = 900"),
    "too bright": (
        {"limits": {"light_ms_percent": 5000}, "exposure_ms": 20, "z_planes": 9},
        "a single visit gives 18000",
    ),
    "no such place": ({"groups": {"a": ["disk"]}}, "Did you mean 'dish'"),
    "a place in two groups": (
        {"groups": {"a": ["dish"], "b": ["p1"]}},
        "p1 is in two groups, a and b",
    ),
    "no rounds": ({"survey": {"axis_order": "ptc"}}, "the survey has no rounds"),
    "longer than the survey may wait": (
        {"longest_wait_s": 5, "most": 20, "when": "end"},
        "longest_wait_s lets the survey wait 5 s",
    ),
    "no turret described": (
        {"file": FILE[: FILE.index("[turret]")] + FILE[FILE.index("[limits]") :]},
        "does not say how its objectives differ",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_could_only_fail_is_refused(tmp_path: Path, name: str) -> None:
    more, told = WRONG[name]
    with pytest.raises(Refused) as refused:
        checked(tmp_path, **{"survey": {}, **more})
    assert told in str(refused.value), str(refused.value)


def test_wells_positions_and_places_have_names() -> None:
    def survey(**more: Any) -> Any:
        return Experiment.parse(
            {"survey": {"channels": ["FITC"], **more}, "specimen": {"cells": 1}}
        ).survey

    wells = names_by_place(survey(stage_positions=PLATE))
    assert wells == {"p0": ("A1", "p0"), "p1": ("B2", "p1")}
    points = {"rows": 1, "columns": 2, "fov_width": 50, "fov_height": 50}
    several = names_by_place(
        survey(stage_positions={**PLATE, "well_points_plan": points})
    )
    assert [names[0] for names in several.values()] == ["A1", "A1", "B2", "B2"]
    assert "B2_0001" in several["p3"]
    grid = {**points, "rows": 2}
    tiles = names_by_place(survey(stage_positions=[[0, 0], [900, 0]], grid_plan=grid))
    assert len(tiles) == 8
    assert tiles["p1g3"] == ("p1", "p1g3")
    # of a single position each tile counts for itself
    alone = names_by_place(survey(stage_positions=[[0, 0]], grid_plan=grid))
    assert {names[0] for names in alone.values()} == set(alone)


def test_plans_of_policies_are_by_their_names() -> None:
    experiment = Experiment.parse(
        {
            "survey": {"channels": ["FITC"], "stage_positions": PLATE},
            "analysis": {"occurrences": {"here": {"kind": "count", "above": 0}}},
            "response": [
                {"policy": "visit", "on": "here", "groups": {"a": ["A1"]}},
                {"policy": "bookmark", "on": "here"},
                {"policy": "visit", "on": "here"},
            ],
            "seed": 5,
        }
    )
    plans = tour_plans(experiment)
    assert list(plans) == ["visit", "visit 2"]
    assert plans["visit"].group("p0") == "a"
    assert plans["visit"].group("p1") is None
    assert plans["visit 2"].group("p1") == "B2"
    assert {plan.seed for plan in plans.values()} == {5}
