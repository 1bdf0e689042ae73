"""Equal light as a picture: each true event, and the frames about it."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np

from smartscope.storage.palette import (
    BURST,
    FAINT,
    GROUND,
    INK,
    MISSED,
    SURVEY,
    TRUE,
    count,
    nothing,
    time,
    time_unit,
)
from smartscope.storage.picture import STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROWS = 24  # most events shown
_SIDES = (("smart", SURVEY), ("fixed", MISSED))


def draw_equal_light(told: dict[str, Any], path: Path) -> None:
    """Draw what two runs of the same specimen have of each event, as PNG, 1600 × 1000.

    Parameters
    ----------
    told : dict
        As `smartscope.loop.run_at_equal_light` tells it.
    path : Path
        Of the PNG; replaced if it exists.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(16, 10), facecolor=GROUND, dpi=100)
        FigureCanvasAgg(figure)
        figure.text(0.022, 0.955, told["name"], size=21, weight="bold", va="center")
        said = wrap(told["says"], 200)
        figure.text(0.022, 0.925, "\n".join(said), size=11, va="top", linespacing=1.5)
        _draw_events(figure.add_axes((0.09, 0.075, 0.52, 0.74)), told)
        _draw_counts(figure.add_axes((0.72, 0.5, 0.26, 0.315)), told)
        _draw_light(figure.add_axes((0.72, 0.075, 0.26, 0.28)), told)
        figure.savefig(path, facecolor=GROUND)


def _draw_events(axes: Axes, told: dict[str, Any]) -> None:
    """Draw a row for each event: frames of both runs, in time since its onset."""
    wanted, events = told["wanted"], told["per_event"]
    shown = events[:_ROWS]
    more = f" (first {_ROWS} of {len(events)} events)" if len(events) > _ROWS else ""
    axes.set_title(f"Frames that show each event{more}")
    if not shown:
        nothing(axes, "nothing happened in view")
        return
    scale, unit = time_unit(wanted["baseline_s"] + wanted["within_s"])
    first, last = -wanted["baseline_s"] / scale, wanted["within_s"] / scale
    axes.axvspan(0, last, color=INK, alpha=0.06, linewidth=0)
    axes.axvline(0, color=INK, linewidth=1)
    to_name = last + 0.02 * (last - first)
    for row, event in enumerate(reversed(shown)):
        for (how, color), up in zip(_SIDES, (0.2, -0.2), strict=True):
            side = event[how]
            at = np.asarray(side["since_s"]) / scale
            reacted = np.isin(side["since_s"], side["reacted_s"])
            for some, hue in ((~reacted, color), (reacted, BURST)):
                axes.vlines(at[some], row + up - 0.16, row + up + 0.16, color=hue)
            axes.text(
                to_name,
                row + up,
                f"{side['before']} + {side['after']}"
                + (" ✓" if side["caught"] else ""),
                size=8 if len(shown) > 12 else 9,
                va="center",
                color=TRUE if side["caught"] else FAINT,
            )
    axes.set(
        xlim=(first, last),
        ylim=(-0.6, len(shown) - 0.4),
        xlabel=f"time since its onset, {unit}",
        yticks=range(len(shown)),
        yticklabels=[f"{e['kind']} {time(e['t_s'])}" for e in reversed(shown)],
    )
    axes.tick_params(axis="y", length=0, labelsize=8 if len(shown) > 12 else 9)
    for (how, color), name in zip(_SIDES, ("smartscope", _fixed(told)), strict=True):
        frames = told[how]["frames"]
        axes.plot([], [], color=color, linewidth=3, label=f"{name} ({frames})")
    axes.plot([], [], color=BURST, linewidth=3, label="in answer to a hit")
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3)


def _draw_counts(axes: Axes, told: dict[str, Any]) -> None:
    axes.set_title(f"Of {told['events']} true events")
    highest = max(told["events"], 1)
    for group, key in enumerate(("caught", "recognised")):
        for k, (how, color) in enumerate(_SIDES):
            n = told[how][key]
            at = group + (k - 0.5) * 0.36
            axes.bar(at, told["events"], 0.32, color=FAINT, alpha=0.25)
            axes.bar(at, n, 0.32, color=TRUE if how == "smart" else color)
            axes.text(at, n + 0.02 * highest, str(n), ha="center", weight="bold")
            axes.text(
                at,
                -0.03 * highest,
                "smartscope" if how == "smart" else _fixed(told),
                ha="center",
                va="top",
                size=7.5,
            )
    axes.set_xticks([0, 1], ["\ncaught with baseline", "\nrecognised"])
    axes.tick_params(axis="x", length=0, pad=12)
    axes.set(ylim=(0, highest * 1.15), xlim=(-0.5, 1.5), yticks=[])
    axes.spines["left"].set_visible(False)


def _draw_light(axes: Axes, told: dict[str, Any]) -> None:
    axes.set_title("Light, ms × % (uncalibrated)")
    for k, (how, color) in enumerate(_SIDES):
        light = told[how]["light_ms_percent"]
        axes.bar(k, light, 0.5, color=color)
        axes.text(k, light * 1.02, f"{light:,.0f}", ha="center", weight="bold")
    highest = max(told[how]["light_ms_percent"] for how, _ in _SIDES)
    axes.set_xticks([0, 1], ["smartscope", _fixed(told)])
    axes.tick_params(axis="x", length=0)
    axes.set(ylim=(0, max(highest, 1.0) * 1.2), xlim=(-0.6, 1.6))
    axes.yaxis.set_major_formatter(lambda ms, _: count(ms))


def _fixed(told: dict[str, Any]) -> str:
    return f"every {time(told['fixed']['interval_s'])}"
