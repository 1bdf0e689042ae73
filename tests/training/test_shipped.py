"""How shipped models are made anew: what is asked for must be one that can be."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra 'train' is not installed")

from smartscope.errors import Refused  # only where torch is
from smartscope.training.shipped import SHIPPED, make_shipped
from smartscope.zoo import CLASSICAL, zoo_names


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("nucleus", None, "Did you mean 'nuclei'"),
        ("nuclei", None, "is made of labelled images"),
        ("spots", Path("labelled"), "is simulated alone"),
    ],
)
def test_what_cannot_be_made_is_refused(
    tmp_path: Path, name: str, data: Path | None, told: str
) -> None:
    with pytest.raises(Refused, match=told):
        make_shipped(name, tmp_path / "made", data=data)
    assert not (tmp_path / "made").exists()


def test_nuclei_of_images_are_for_the_movies_of_divisions_alone(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="takes no --nuclei"):
        make_shipped("spots", tmp_path / "made", nuclei=tmp_path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_made_by_a_function_of_the_same_form(name: str) -> None:
    module = importlib.import_module(f"smartscope.training.shipped.{name}")
    taken = set(inspect.signature(module.make).parameters)
    assert {"out", "minutes", "seed", "told"} <= taken


def test_every_model_that_is_shipped_is_classical_or_can_be_made_anew() -> None:
    assert set(zoo_names()) == CLASSICAL | set(SHIPPED)
