"""Results on stdout: tables for people, one JSON document for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from smartscope.cli.comparison import comparison_table, comparison_told
from smartscope.cli.live import span

if TYPE_CHECKING:
    from smartscope.replay import Replayed

_STEPS = {
    "hand_over": "hand-over to the loop",
    "ring": "hand-over to the analysis process",
    "inference": "inference",
    "recognition": "recognition",
    "response": "response",
    "decide": "hand-over to the decision",
    "act": "decision to its event",
    "store": "hand-over to the disk",
}
_STYLE = {"completed": "green", "degraded": "yellow", "stopped": "yellow"}


def print_json(document: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def print_pairs(pairs: Mapping[str, str], first: str, second: str) -> None:
    """Print a table of two columns."""
    table = _table(first, second)
    for name, text in pairs.items():
        table.add_row(name, text)
    _console().print(table)


def print_lines(lines: Sequence[tuple[str, str]]) -> None:
    """Print what is said of each key, whole: hashes and paths are copied from it."""
    width = max((len(key) for key, _ in lines), default=0)
    for key, said in lines:
        _console().print(f"{key:<{width}}  {said}", soft_wrap=True, markup=False)


def print_rows(first: str, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a row for each name, whole; what is None is left open."""
    columns = [first, *next(iter(rows.values()), {})]
    cells = [[name, *map(_told, row.values())] for name, row in rows.items()]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for line in (columns, *cells):
        padded = (c.ljust(w) for c, w in zip(line, widths, strict=True))
        _console().print("  ".join(padded).rstrip(), soft_wrap=True, markup=False)


def print_replayed(replayed: Replayed) -> None:
    """Print "identical", or the first difference."""
    console = _console()
    if replayed.identical:
        console.print(
            f"identical ({replayed.compared} frames, {replayed.decisions} decisions)"
        )
    else:
        console.print(f"different: {replayed.first_difference}", soft_wrap=True)
    for said in (*replayed.missing, *replayed.notices):
        console.print(f"note: {said}", soft_wrap=True)


def print_measured(
    name: str, measured: Mapping[str, Any] | Sequence[Mapping[str, Any]]
) -> None:
    """Print what a bench has measured, one table for each set of figures."""
    if not isinstance(measured, Mapping):
        for each in measured:
            print_measured(name, each)
        return
    table = _table(f"bench {name}", "")
    for key, value in _flat(measured):
        if value in ("", [], None):
            continue  # nothing to tell
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        table.add_row(key, shown)
    _console().print(table)


def _flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{above}{key}.")
        else:
            rows.append((f"{above}{key}", value))
    return rows


def print_summary(summary: Mapping[str, Any]) -> None:
    """Print the summary of a run as ``summarise`` gives it."""
    console = _console()
    outcome = str(summary["outcome"])
    console.print()
    console.print(
        Text.assemble(
            (str(summary["name"]), "bold"),
            f" on {summary['microscope']}" if summary.get("microscope") else "",
            f", {span(summary['duration_s'])} of specimen time: ",
            (outcome, _STYLE.get(outcome, "red")),
            f" ({summary['reason']})" if summary.get("reason") else "",
        ),
        soft_wrap=True,
    )
    for told in (_frames, _seen, _rivals, _decided, _latencies, _light):
        table = told(summary)
        if table.row_count:
            # below a narrow table its caption would be broken into lines
            below, table.caption = table.caption, None
            console.print()
            console.print(table)
            if below is not None:
                console.print(below, soft_wrap=True)
    sentences = (
        *_faults(summary),
        *_focused(summary),
        *_restored(summary),
        *_compared(summary),
        *comparison_told(summary.get("rivals") or {}),
        *_followed(summary),
        *(str(told["says"]) for told in (summary.get("visits") or {}).values()),
        *_controls(summary),
    )
    for said in sentences:
        console.print(said, soft_wrap=True)
    console.print()
    for said in (*summary.get("missing", ()), *summary.get("notices", ())):
        console.print(f"note: {said}", soft_wrap=True)
    folder = Path(summary["folder"])
    console.print(f"run: {folder}", soft_wrap=True)
    if (picture := folder / "summary.png").is_file():
        console.print(f"picture: {picture}", soft_wrap=True)


def _focused(summary: Mapping[str, Any]) -> Iterator[str]:
    """Yield how often the focus was looked for, and what was decided where in vain."""
    counts = summary.get("counts") or {}
    found, failed = (counts.get(f"focus_{word}", 0) for word in ("done", "failed"))
    if not found and not failed:
        return
    what = {
        "retry": "looked for again",
        "neighbour": "a neighbour's correction",
        "skip": "the z of before kept",
    }
    decided = [
        f"{n} × {words}"
        for word, words in what.items()
        if (n := counts.get(f"focus_{word}"))
    ]
    then = f": {', '.join(decided)}" if decided else ""
    yield (
        f"The focus was looked for {found + failed} times: found {found} times, not "
        f"found {failed} times{then}."
    )


def _frames(summary: Mapping[str, Any]) -> Table:
    frames = summary["frames"]
    table = _table(
        "frames", "acquired", "stored", "analysed", "skipped", "late", "failed"
    )
    words = ("acquired", "stored", "analysed", "skipped", "late", "failed")
    table.add_row("", *(str(frames.get(word, 0)) for word in words))
    for reason, n in frames.get("skipped_by_reason", {}).items():
        table.add_row(f"skipped: {reason}", "", "", "", str(n))
    counts = summary.get("counts") or {}
    if unstored := frames.get("unstored"):
        table.add_row("not stored, by policy", "", str(unstored))
    if kept := frames.get("kept"):
        table.add_row("of the stored, for a hit", "", str(kept))
    if lacking := counts.get("baseline_visits_missing"):
        table.add_row(f"visits before a hit gone from memory: {lacking}")
    if whole := counts.get("sets_analysed"):
        table.add_row("sets of channels", "", "", str(whole))
    if incomplete := counts.get("sets_incomplete"):
        table.add_row("sets that stayed incomplete", "", "", "", str(incomplete))
    if waits := summary.get("disk_waits"):
        table.add_row(f"waited for the disk {waits} times")
    return table


def _restored(summary: Mapping[str, Any]) -> list[str]:
    """What became of the restored images, where they are kept."""
    told = summary.get("restored") or {}
    words = [f"{n} {what}" for what, n in told.items() if n or what == "stored"]
    return [f"restored images: {', '.join(words)}"] if words else []


def _seen(summary: Mapping[str, Any]) -> Table:
    """Occurrences, and how they compare with what truly happened."""
    scores = summary.get("scores") or {}
    by_name = scores.get("by_name") or {}
    if not by_name:
        table = _table("occurrences", "recognised")
        for name, n in summary["occurrences"].items():
            table.add_row(name, str(n))
        return table
    table = _table(
        "occurrences", "recognised", "truly in view", "caught", "missed", "false",
        "late by (median)",
    )  # fmt: skip
    for name in dict.fromkeys([*by_name, *summary["occurrences"]]):
        score = by_name.get(name) or {}
        delay = (score.get("delay_s") or {}).get("median")
        table.add_row(
            name,
            str(summary["occurrences"].get(name, 0)),
            *(_told(score.get(key)) for key in ("events", "caught", "missed", "false")),
            "" if delay is None else span(delay),
        )
    return table


def print_comparison(compared: Mapping[str, Any]) -> None:
    """Print how detectors compare as ``smartscope.loop.compare`` gives it."""
    _console().print(_rivals({"rivals": compared}))
    for said in comparison_told(compared):
        _console().print(said, soft_wrap=True)


def _rivals(summary: Mapping[str, Any]) -> Table:
    empty = Table(box=None, padding=(0, 2, 0, 0), caption_justify="left")
    return comparison_table(summary.get("rivals") or {}, empty)


def _compared(summary: Mapping[str, Any]) -> list[str]:
    """What the same light would have caught, spent at a fixed interval."""
    equal = summary.get("equal_light") or {}
    if "smart_caught" not in equal:
        return []
    interval_s = equal.get("interval_s")
    every = "no round" if interval_s is None else f"a round every {span(interval_s)}"
    wanted = (
        f"{equal.get('frames_needed')} frames within {span(equal.get('window_s', 0))} "
        "from the onset on"
    )
    if before := equal.get("baseline_frames"):
        wanted += f", {before} within {span(equal.get('baseline_s', 0))} before it"
    return [
        "",
        f"Caught with baseline ({wanted}): {equal['smart_caught']} of "
        f"{equal['events']} true events. The same light at a fixed interval ({every}) "
        f"would have caught {equal['fixed_caught']}.",
    ]


def print_equal_light(told: Mapping[str, Any], folder: Path) -> None:
    """Print what a run and a fixed interval have caught, side by side."""
    console = _console()
    if told:
        table = _table("", "smartscope", "fixed interval")
        words = {
            "caught": "caught with baseline",
            "recognised": "recognised",
            "false": "false",
            "frames": "frames",
            "light_ms_percent": "light in ms·%",
        }
        table.add_row("true events", *[str(told["events"])] * 2)
        for key, word in words.items():
            table.add_row(word, *(_told(told[how][key]) for how in ("smart", "fixed")))
        console.print(table)
        console.print()
        console.print(told["says"], soft_wrap=True)
        console.print(f"picture: {folder / 'equal_light.png'}", soft_wrap=True)
    else:
        console.print("A run did not come to its end: nothing is compared.")
    console.print(f"runs: {folder / 'smart'}, {folder / 'fixed'}", soft_wrap=True)


def _followed(summary: Mapping[str, Any]) -> list[str]:
    """How well followed cells were kept in the middle of the field."""
    followed = summary.get("followed") or {}
    if not followed.get("frames"):
        return []
    return [
        f"Followed {followed['cells']} cells: in the middle fifth of the field in "
        f"{followed['in_middle']} of {followed['frames']} frames after capture."
    ]


def _controls(summary: Mapping[str, Any]) -> list[str]:
    """What dark fields, placebo bursts, sham and audit looks tell."""
    said = [str(told["says"]) for told in (summary.get("controls") or {}).values()]
    return ["", "controls, with 95 % intervals:", *said] if said else []


def _decided(summary: Mapping[str, Any]) -> Table:
    decisions = summary["decisions"]
    verdicts = list(decisions["by_verdict"])
    table = _table("decisions", *verdicts)
    for policy, by in decisions["by_policy"].items():
        table.add_row(policy, *(str(by.get(verdict, "")) for verdict in verdicts))
    if outcomes := decisions.get("outcomes"):
        told = ", ".join(f"{n} {status}" for status, n in outcomes.items())
        table.caption = f"of the granted ones: {told}"
    return table


def _faults(summary: Mapping[str, Any]) -> list[str]:
    """What policies did wrong."""
    said = []
    for name, faults in (summary["decisions"].get("faults") or {}).items():
        words = []
        if n := faults.get("failed_on"):
            words.append(f"failed on {n} frames")
        if n := faults.get("not_considered"):
            words.append(f"{n} of its wishes were too many to be considered")
        if why := faults.get("switched_off"):
            words.append(f"switched off: {why}")
        said.append(f"policy {name}: {', '.join(words)}")
    return said


def _latencies(summary: Mapping[str, Any]) -> Table:
    table = _table("latency in ms", "n", "p50", "p95", "p99", "max")
    latencies = summary["latency_ms"]
    for step in [*(s for s in _STEPS if s in latencies), *(latencies.keys() - _STEPS)]:
        values = latencies[step]
        table.add_row(
            _STEPS.get(step, step),
            str(values["n"]),
            *(f"{values[p]:.2f}" for p in ("p50_ms", "p95_ms", "p99_ms", "max_ms")),
        )
    return table


def _light(summary: Mapping[str, Any]) -> Table:
    by_origin = summary.get("light_by_origin") or {}
    origins = {o for by in by_origin.values() for o in by}
    shown = [o for o in _ORIGINS if o in origins or o in ("survey", "burst")]
    table = _table(
        "light in ms·% (uncalibrated)", "account", *(f"by {o}" for o in shown)
    )
    for place, account in summary["light_ms_percent"].items():
        by = by_origin.get(place, {})
        table.add_row(
            place,
            f"{account:.0f}",
            *(f"{by[origin]:.0f}" if origin in by else "" for origin in shown),
        )
    return table


_ORIGINS = ("survey", "burst", "series", "stimulation", "visit", "audit", "focus")


def _told(value: Any) -> str:
    return "" if value is None else str(value)


def _table(first: str, *others: str) -> Table:
    table = Table(first, box=None, padding=(0, 2, 0, 0), caption_justify="left")
    for other in others:
        table.add_column(other, justify="right")
    return table


def _console() -> Console:
    return Console(highlight=False)


__all__: Sequence[str] = [
    "print_comparison",
    "print_equal_light",
    "print_json",
    "print_measured",
    "print_pairs",
    "print_replayed",
    "print_summary",
]
