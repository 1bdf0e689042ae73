"""The summary of a run as a picture: what happened, what was caught, what it cost."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from smartscope.storage.best_catch import best_catch
from smartscope.storage.catch_panels import draw_path, draw_strip
from smartscope.storage.palette import (
    BURST,
    FAINT,
    GROUND,
    INK,
    TRUE,
    short,
    time,
)
from smartscope.storage.report import summarise
from smartscope.storage.restored_panel import compare, draw_restored
from smartscope.storage.run_panels import (
    draw_comparison,
    draw_latency,
    draw_light,
    draw_timeline,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from smartscope.storage.reader import Run


STYLE: dict[Any, Any] = {
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}

_RESTORED_INCHES, _LINE_INCHES = 3.3, 0.6


def draw_summary(run: Run, path: Path) -> None:
    """Draw the summary of a run as PNG, 1600 × 1100; higher with restored images.

    Parameters
    ----------
    run : Run
        Finished or broken off, with or without occurrences.
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

    summary = summarise(run)
    with mpl.rc_context(STYLE):
        figure = Figure(facecolor=GROUND, dpi=100)
        FigureCanvasAgg(figure)
        _draw(figure, run, summary)
        figure.savefig(path, facecolor=GROUND)


def _draw(figure: Figure, run: Run, summary: dict[str, Any]) -> None:
    catch = best_catch(run)
    compared = compare(run, catch)
    told = [str(c["says"]) for c in summary["controls"].values()]
    said = [line for says in told for line in wrap(says, 225)]
    inches = [0.95, 2.25, 4.15, 3.65]
    if compared is not None:
        inches.insert(2, _RESTORED_INCHES)
        if catch is None:  # the restored frame is what there is to see
            inches[1] = _LINE_INCHES
    if said:
        inches.append(0.25 + 0.2 * len(said))
    figure.set_size_inches(16, sum(inches))
    parts: Any = figure.subfigures(len(inches), 1, height_ratios=inches)
    for part in parts:
        part.set_facecolor("none")
    head, strip = parts[:2]
    middle, foot = parts[-3:-1] if said else parts[-2:]
    _draw_head(head, summary)
    for line, text in enumerate(said):
        down = (0.05 + 0.2 * line) / inches[-1]
        parts[-1].text(0.022, 1 - down, text, size=10, va="top")
    draw_strip(strip, catch)
    if compared is not None:
        draw_restored(parts[2], compared, summary["restored"])
    left, right = middle.subfigures(1, 2, width_ratios=[2.4, 1])
    draw_timeline(_axes(left, 0.07, 0.16, 0.91, 0.72), run, summary)
    draw_path(_axes(right, 0.14, 0.16, 0.82, 0.72), run, catch)
    three = foot.subfigures(1, 3, width_ratios=[1.25, 1.0, 0.85])
    draw_latency(_axes(three[0], 0.17, 0.18, 0.78, 0.66), summary)
    draw_light(_axes(three[1], 0.13, 0.18, 0.82, 0.66), summary)
    draw_comparison(_axes(three[2], 0.14, 0.18, 0.82, 0.66), summary)


def _axes(part: SubFigure, x: float, y: float, width: float, height: float) -> Axes:
    part.set_facecolor("none")
    return part.add_axes((x, y, width, height))


def _draw_head(part: SubFigure, summary: dict[str, Any]) -> None:
    frames, scores = summary["frames"], summary["scores"]
    good = summary["outcome"] == "completed"
    part.text(0.022, 0.66, summary["name"], size=21, weight="bold", va="center")
    ended = summary["outcome"] + (f": {summary['reason']}" if summary["reason"] else "")
    part.text(
        0.978,
        0.66,
        short(ended, 80),
        size=12,
        weight="bold",
        va="center",
        ha="right",
        color=TRUE if good else BURST,
    )
    said = [
        f"{frames['stored']:,} of {frames['acquired']:,} frames stored",
        f"{frames['analysed']:,} analysed",
        f"{frames['skipped']:,} skipped",
        f"{frames['late']:,} late",
        f"{frames['failed']:,} failed",
        f"{sum(summary['occurrences'].values())} occurrences",
    ]
    if restored := summary["restored"]:
        said.insert(2, f"{restored['stored']:,} restored")
    if scores.get("events"):
        said.append(f"{scores['caught']} of {scores['events']} true ones caught")
        said.append(f"{scores['false']} false")
        if scores.get("delay_s"):
            said.append(f"median delay {time(scores['delay_s']['median'])}")
    part.text(0.022, 0.17, "   ·   ".join(said), size=11, va="center", color=INK)
    when = str(summary["started"] or "")[:16].replace("T", " ")
    part.text(0.978, 0.17, when, size=10, va="center", ha="right", color=FAINT)
