"""How detectors compare, as a table and a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from smartscope.cli.live import span
from smartscope.errors import Refused

if TYPE_CHECKING:
    from rich.table import Table

    from smartscope.inference import DetectSettings


def detectors_from(words: list[str]) -> list[DetectSettings]:
    """Read detectors as they are given to ``--detect``: a name, or YAML.

    Raises
    ------
    smartscope.errors.Refused
        If one is no detector.
    """
    from pydantic import ValidationError

    from smartscope.settings import AnalysisSettings

    found: list[DetectSettings] = []
    for word in words:
        try:
            given = yaml.safe_load(word) if word.lstrip().startswith("{") else word
            found += AnalysisSettings(rivals=[given]).rivals
        except (ValidationError, yaml.YAMLError) as e:
            raise Refused(
                f"--detect {word}: {str(e).splitlines()[-1].strip()}",
                rule="A detector is named as in analysis.detect.",
                way_out="Such as --detect otsu, or "
                "--detect '{watershed: {min_distance_um: 6}}'.",
            ) from e
    return found


def comparison_table(compared: Mapping[str, Any], empty: Table) -> Table:
    """Fill a table with a row for each detector.

    Parameters
    ----------
    compared : Mapping
        As `smartscope.loop.compare` gives it; may be empty.
    empty : Table
        Without columns.
    """
    rows = compared.get("detectors") or {}
    if not rows:
        return empty
    empty.add_column("detectors", no_wrap=True)
    empty.caption = (
        f"each over the same {compared['frames']} of {compared['of']} frames, from "
        f"{compared['places']} places, at the end of the run"
    )
    against = "in truth" if compared["truth"] else f"by {compared['main']}"
    for title in (
        "things a frame", f"as {compared['main']}", f"happened {against}", "caught",
        "false", "late by (median)", "ms p50", "ms p95",
    ):  # fmt: skip
        empty.add_column(title, justify="right")
    for name, row in rows.items():
        delay = (row["delay_s"] or {}).get("median")
        alike = row["things_f1"]
        empty.add_row(
            name,
            f"{row['things_per_frame']:.1f}",
            "" if alike is None else f"{alike:.2f}",
            str(row["events"]),
            str(row["caught"]),
            str(row["false"]),
            "" if delay is None else span(delay),
            f"{row['ms_p50']:.2f}",
            f"{row['ms_p95']:.2f}",
        )
    return empty


def comparison_told(compared: Mapping[str, Any]) -> Iterator[str]:
    """Yield the sentence, and which detectors could not be used."""
    if not compared:
        return
    yield ""
    yield str(compared["says"])
    for name, row in (compared.get("detectors") or {}).items():
        if why := row.get("failed"):
            yield f"{name} failed: {why}"
