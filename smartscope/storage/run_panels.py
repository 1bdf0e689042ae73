"""Panels of the summary picture: what happened, and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from smartscope.storage.palette import (
    AUDIT,
    BURST,
    FAINT,
    FALSE,
    FOCUS,
    GROUND,
    INK,
    MISSED,
    ROWS,
    SERIES,
    STIMULATION,
    SURVEY,
    TRUE,
    VISIT,
    count,
    ms,
    natural,
    nothing,
    time,
    time_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from smartscope.storage.reader import Record, Run


_SELDOM = ("series", "stimulation", "visit", "audit", "focus")


def draw_timeline(axes: Axes, run: Run, summary: dict[str, Any]) -> None:
    """Draw frames, bursts and occurrences over time, a row for each place."""
    places = sorted({f["place"] for f in run.taken}, key=natural)
    shown, scale, unit = places[:ROWS], *time_unit(summary["duration_s"])
    rows = {place: len(shown) - 1 - k for k, place in enumerate(shown)}
    kinds = (
        ("survey", SURVEY, 0.13),
        ("series", SERIES, 0.2),
        ("audit", AUDIT, 0.2),
        ("focus", FOCUS, 0.2),
        ("visit", VISIT, 0.26),
        ("stimulation", STIMULATION, 0.26),
        ("burst", BURST, 0.26),
    )
    # room in the legend: with more kinds of frames, fewer words
    word = "" if any(f["origin"] in _SELDOM for f in run.frames) else " frames"
    for origin, color, half in kinds:
        ticks = [f for f in run.taken if f["origin"] == origin and f["place"] in rows]
        if not ticks and origin in _SELDOM:
            continue
        times = np.array([f["time_s"] for f in ticks]) / scale
        at = np.array([rows[f["place"]] for f in ticks], dtype=float)
        axes.vlines(
            times,
            at - half,
            at + half,
            color=color,
            linewidth=0.9,
            alpha=0.75 if origin == "survey" else 0.9,
            label=f"{origin}{word} ({len(ticks)})",
        )
    for mark, color, label, points in _marks(run, summary, rows):
        if points:
            at = np.array(points)
            axes.scatter(
                at[:, 0] / scale,
                at[:, 1] + 0.36,
                marker=mark,
                s=58,
                color=color,
                edgecolor=GROUND,
                linewidth=0.6,
                zorder=4,
                label=f"{label} ({len(points)})",
            )
    more = len(places) - len(shown)
    axes.set_title(
        "What happened where"
        + (f" (first {ROWS} of {len(places)} places)" if more else "")
    )
    axes.set(
        xlabel=f"time, {unit}",
        yticks=list(rows.values()),
        yticklabels=list(rows),
        ylim=(-0.55, max(len(shown), 1) - 0.3),
    )
    axes.tick_params(axis="y", length=0)
    # of many entries in a row: beside the title, not over it
    many = len(axes.get_legend_handles_labels()[1]) > 5
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=8,
        columnspacing=0.8 if many else 1.2,
        handlelength=1.0 if many else 2.0,
        fontsize=8.5 if many else None,
        handletextpad=0.3,
        borderaxespad=0.1,
    )


def _marks(
    run: Run, summary: dict[str, Any], rows: dict[str, int]
) -> list[tuple[str, str, str, list[tuple[float, float]]]]:
    scores = summary["scores"]
    false = set(scores.get("false_ones") or ())
    scored = bool(scores)
    true = [e.get("occurrence_id") for e in scores.get("per_event") or ()]
    kinds: dict[str, list[tuple[float, float]]] = {"true": [], "false": [], "any": []}
    for o in run.occurrences:
        if o["place"] not in rows:
            continue
        how = "any"
        if scored and o["occurrence_id"] in false:
            how = "false"
        elif scored and o["occurrence_id"] in true:
            how = "true"
        kinds[how].append((o["seen_s"], rows[o["place"]]))
    missed: list[tuple[float, float]] = [
        (e["t_s"], rows[place])
        for e in scores.get("per_event") or ()
        if e["in_view"] and not e["caught"]
        for place in [_nearest_place(run, e["x_um"], e["y_um"])]
        if place in rows
    ]
    return [
        ("v", TRUE, "true occurrence", kinds["true"]),
        ("X", FALSE, "false", kinds["false"]),
        ("v", INK, "other occurrence" if scored else "occurrence", kinds["any"]),
        ("o", MISSED, "missed", missed),
    ]


def _nearest_place(run: Run, x_um: float, y_um: float) -> str:
    centres: dict[str, tuple[float, float]] = {}
    for frame in run.taken:
        state = frame["state"]
        centres.setdefault(frame["place"], (state["x_um"], state["y_um"]))
    return min(
        centres, key=lambda p: np.hypot(centres[p][0] - x_um, centres[p][1] - y_um)
    )


_STEPS = (
    "hand_over",
    "ring",
    "inference",
    "recognition",
    "response",
    "decide",
    "act",
    "store",
)


def draw_latency(axes: Axes, summary: dict[str, Any]) -> None:
    """Draw median, 95th and 99th percentile of each step."""
    axes.set_title("Latency of each step, ms: p50 — p95 — p99")
    told: dict[str, Record] = summary["latency_ms"]
    steps = [s for s in _STEPS if s in told]
    steps += sorted(s for s in told if s not in _STEPS)[: 9 - len(steps)]
    if not steps:
        nothing(axes, "no latencies were recorded")
        return
    for row, step in enumerate(reversed(steps)):
        p50, p95, p99 = (
            max(told[step][p], 1e-3) for p in ("p50_ms", "p95_ms", "p99_ms")
        )
        axes.plot([p50, p99], [row, row], color=FAINT, linewidth=2, zorder=1)
        axes.plot([p50, p95], [row, row], color=SURVEY, linewidth=6, zorder=2)
        axes.scatter([p50], [row], color=INK, s=26, zorder=3)
        axes.scatter([p99], [row], color=FAINT, s=14, zorder=3)
        axes.annotate(
            " / ".join(map(ms, (p50, p95, p99))),
            (1.0, row),
            va="center",
            ha="right",
            xycoords=("axes fraction", "data"),
            size=8,
            color=INK,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (high / low) ** 0.45)  # room for the numbers
    axes.set(yticks=range(len(steps)), yticklabels=list(reversed(steps)))
    axes.set_ylim(-0.6, len(steps) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT, alpha=0.25)


def draw_light(axes: Axes, summary: dict[str, Any]) -> None:
    """Draw the light of each place, survey and bursts."""
    axes.set_title("Light spent per place, ms × % (uncalibrated)")
    by_origin = summary["light_by_origin"]
    places = sorted(by_origin, key=natural)[: 2 * ROWS]
    if not places:
        nothing(axes, "no light was spent")
        return
    at = np.arange(len(places))
    below = np.zeros(len(places))
    for origin, color in (
        ("survey", SURVEY),
        ("series", SERIES),
        ("audit", AUDIT),
        ("focus", FOCUS),
        ("visit", VISIT),
        ("stimulation", STIMULATION),
        ("burst", BURST),
    ):
        if origin in _SELDOM and not any(origin in by_origin[p] for p in places):
            continue
        ms = np.array([by_origin[p].get(origin, 0.0) for p in places])
        axes.bar(at, ms, 0.66, bottom=below, color=color, label=origin)
        below += ms
    axes.set_xticks(at, places)
    axes.tick_params(axis="x", length=0)
    axes.set_ylim(0, max(float(below.max()), 1.0) * 1.22)
    axes.yaxis.set_major_formatter(lambda ms, _: count(ms))
    axes.legend(loc="upper right", ncols=4)


def draw_comparison(axes: Axes, summary: dict[str, Any]) -> None:
    """Draw what was caught with baseline, and what a fixed interval would have."""
    axes.set_title("Caught with baseline for the same light")
    told = summary["equal_light"]
    if not told or not told.get("events"):
        nothing(axes, "nothing true to compare with" if told else "truth is not known")
        return
    interval = told["interval_s"]
    names = [
        "smartscope",
        "fixed interval" + (f"\nevery {time(interval)}" if interval else ""),
    ]
    caught = [told["smart_caught"], told["fixed_caught"]]
    axes.bar([0, 1], [told["events"]] * 2, 0.6, color=FAINT, alpha=0.25)
    axes.bar([0, 1], caught, 0.6, color=[TRUE, MISSED])
    for k, n in enumerate(caught):
        axes.text(
            k,
            n + 0.02 * told["events"],
            f"{n} of {told['events']}",
            ha="center",
            va="bottom",
            weight="bold",
        )
    axes.set_xticks([0, 1], names)
    axes.tick_params(axis="x", length=0)
    axes.set(ylim=(0, told["events"] * 1.3), yticks=[], xlim=(-0.6, 1.6))
    axes.spines["left"].set_visible(False)
    axes.text(
        0.5,
        0.99,
        _wanted(told),
        transform=axes.transAxes,
        ha="center",
        va="top",
        size=8.5,
        color=MISSED,
    )


def _wanted(told: dict[str, Any]) -> str:
    """Return when an event counts as caught, in words."""
    said = f"{told['frames_needed']} frames within {time(told['window_s'])} from onset"
    if before := told.get("baseline_frames"):
        said += f", {before} in the {time(told['baseline_s'])} before"
    return said
