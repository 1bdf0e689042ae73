"""What the documents list is what there is."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from smartscope.recognition import OccurrenceSettings
from smartscope.response import BUILT_IN
from smartscope.settings import Experiment

DOCS = Path(__file__).parent.parent / "docs"


def test_every_occurrence_and_policy_has_its_row() -> None:
    told = (DOCS / "reactions.md").read_text(encoding="utf-8")
    rows = [line for line in told.splitlines() if line.startswith("| `")]
    named = {word for row in rows for word in row.split("|")[1].split("`")[1::2]}
    union, _ = get_args(OccurrenceSettings)
    kinds = {kind.model_fields["kind"].default for kind in get_args(union)}
    assert named == {*kinds, *BUILT_IN, "module:Class"}


def test_every_key_of_an_experiment_has_a_meaning() -> None:
    for name, field in Experiment.model_fields.items():
        assert field.description, name
