"""The models that are shipped: small, whole, described, and good for something."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import yaml

from smartscope.inference import ModelPackage, verify
from smartscope.zoo import CLASSICAL, zoo_names, zoo_path

LEARNED = sorted(set(zoo_names()) - CLASSICAL)


def size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.iterdir())


def test_together_they_are_small_enough_for_a_wheel() -> None:
    assert sum(size(zoo_path(name)) for name in zoo_names()) <= 12_000_000
    assert size(zoo_path("nuclei")) <= 3_000_000


@pytest.mark.parametrize("name", LEARNED)
def test_each_gives_here_what_it_gave_where_it_was_made(name: str) -> None:
    assert verify(ModelPackage.load(name)).state == "reproduced"


@pytest.mark.parametrize("name", LEARNED)
def test_each_tells_how_it_was_made_and_how_good_it_is(name: str) -> None:
    folder = zoo_path(name)
    told = yaml.safe_load((folder / "bioimageio.yaml").read_text(encoding="utf-8"))
    record = told["config"]["smartscope_training"]
    assert record["versions"]["torch"]
    assert record["settings"]["seed"] >= 0
    assert record["figures"]
    assert told["license"] in ("BSD-3-Clause", "CC0-1.0")
    report = (folder / "README.md").read_text(encoding="utf-8")
    assert "## Limits" in report
    assert "never" in report  # on what was never seen


@pytest.mark.parametrize("name", LEARNED)
def test_each_is_a_valid_package_with_every_file_checked(name: str) -> None:
    from bioimageio.spec import InvalidDescr, ValidationContext, build_description

    folder = zoo_path(name)
    content = yaml.safe_load((folder / "bioimageio.yaml").read_text(encoding="utf-8"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it leaves files that it has hashed open
        described = build_description(
            content, context=ValidationContext(root=folder, log_warnings=False)
        )
    assert not isinstance(described, InvalidDescr), described.validation_summary
    assert np.load(folder / "test_input.npy").size <= 4 * 256 * 256
