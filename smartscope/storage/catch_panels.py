"""Panels of the summary picture: what was caught and followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from smartscope.storage.palette import (
    BURST,
    FAINT,
    INK,
    SURVEY,
    TRUE,
    round_below,
    stamp,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

    from smartscope.storage.best_catch import Catch
    from smartscope.storage.reader import Run

_NEAR_UM = 12.0


def draw_strip(part: SubFigure, catch: Catch | None) -> None:
    """Draw the catch before, at and after: a row of squares, one contrast per light."""
    if catch is None or not catch.shots:
        part.text(
            0.5,
            0.5,
            "No occurrence was recognised in this run.",
            ha="center",
            va="center",
            color=FAINT,
            size=12,
        )
        return
    part.text(0.022, 0.93, catch.title, size=11, weight="bold", va="center")
    n = len(catch.shots)
    # all boxes square and of one size, whatever their number
    width = min(0.956 / n, 0.125)
    for k, shot in enumerate(catch.shots):
        axes = part.add_axes((0.022 + k * width, 0.06, width - 0.006, 0.74))
        low, high = shot.window
        axes.imshow(
            shot.pixels,
            cmap="gray",
            vmin=low,
            vmax=high,
            interpolation="nearest",
            extent=(0, shot.width_um, shot.width_um, 0),
        )
        axes.set(xticks=[], yticks=[], anchor="W")
        color = BURST if shot.burst else SURVEY
        for spine in axes.spines.values():
            spine.set(visible=True, color=color, linewidth=2.2)
        axes.set_title(
            stamp(shot.after_s),
            size=9.5,
            color=color,
            weight="bold",
            loc="center",
            pad=3,
        )
        if k == 0:
            bar_um = round_below(shot.width_um / 3)
            y = 0.92 * shot.width_um
            x = 0.07 * shot.width_um
            axes.plot([x, x + bar_um], [y, y], color="white", linewidth=3)
            axes.text(
                x + bar_um / 2,
                y - 0.03 * shot.width_um,
                f"{bar_um:g} µm",
                color="white",
                ha="center",
                va="bottom",
                size=9,
            )


def draw_path(axes: Axes, run: Run, catch: Catch | None) -> None:
    """Draw where the followed cell went and where the field was centred."""
    axes.set_title("Path of the followed cell" if catch else "Where frames were taken")
    axes.set_aspect("equal", adjustable="box", anchor="SW")
    axes.set(xlabel="stage x, µm", ylabel="stage y, µm")
    taken = [f for f in run.taken if catch is None or f["place"] == catch.place]
    xy = np.array([[f["state"]["x_um"], f["state"]["y_um"]] for f in taken])
    if not len(xy):
        axes.text(0.5, 0.5, "no frames", transform=axes.transAxes, ha="center")
        return
    axes.plot(
        *xy.T,
        "+",
        color=SURVEY,
        markersize=9,
        markeredgewidth=1.2,
        label="field centre",
        alpha=0.8,
    )
    if catch is not None and len(catch.path_um):
        x, y = catch.path_um.T
        axes.plot(x, y, "-", color=INK, linewidth=1, alpha=0.7)
        axes.scatter(
            x,
            y,
            c=np.linspace(0.25, 1, len(x)),
            cmap="viridis",
            s=16,
            zorder=3,
            label="cell, dark → bright in time",
        )
        axes.plot(
            catch.x_um,
            catch.y_um,
            "o",
            markersize=13,
            markerfacecolor="none",
            markeredgecolor=TRUE,
            markeredgewidth=2,
            label=catch.name,
        )
    axes.legend(loc="best")
    shown = xy
    if catch is not None and len(catch.path_um):
        # the cell fills the panel; a centre far from it would make it a dot
        near = xy[np.hypot(*(xy - catch.path_um[-1]).T) < _NEAR_UM]
        shown = np.vstack([catch.path_um, near])
    # a square, or places in one row would make the panel a line
    low, high = shown.min(axis=0), shown.max(axis=0)
    half = max(float((high - low).max()) * 0.65, 2.0)
    x, y = (low + high) / 2
    axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half))
