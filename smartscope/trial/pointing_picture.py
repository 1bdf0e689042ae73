"""The picture of a trial by points: what is there, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smartscope.trial.picture import BAD, GOOD, draw_f1, new_figure, plain, some
from smartscope.trial.pointing import POINT_BASELINE, PointedExample


def draw_pointing(
    path: Path, judged: Sequence[PointedExample], told: dict[str, Any]
) -> None:
    """Draw the worst, the middle and the best image; of a movie its fullest frame.

    Parameters
    ----------
    path : Path
        Of the PNG.
    judged : sequence of PointedExample
        All of them.
    told : dict
        As ``judge_pointing`` gives it.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    ranked = sorted(judged, key=lambda e: float(e.figures["prediction"]["f1"]))
    shown = some(ranked)
    tall = max(e.image.frames.shape[1] / e.image.frames.shape[2] for e in shown)
    figure, grid = new_figure(len(shown), 3, str(told["says"]), tall)
    for row, example in enumerate(shown):
        image, found = example.image, example.found
        told_in = np.bincount(
            np.concatenate([image.points[:, 0], found[:, 0]]).astype(int),
            minlength=len(image.frames),
        )
        t = int(told_in.argmax())
        low, high = np.percentile(image.frames[t], [0.5, 99.8])
        true = image.points[np.abs(image.points[:, 0] - t) <= image.slack]
        seen = found[np.abs(found[:, 0] - t) <= image.slack]
        when = f", frame {t}" if len(image.frames) > 1 else ""
        f1 = float(example.figures["prediction"]["f1"])
        for column, (title, points, mark, colour) in enumerate(
            (
                (f"{example.name}{when}", np.empty((0, 4)), "", ""),
                (f"true: {len(true)}", true, "o", GOOD),
                (f"found: {len(seen)}, F1 of all {f1:.2f}", seen, "+", BAD),
            )
        ):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(
                image.frames[t], cmap="gray", vmin=low, vmax=max(high, low + 1e-9)
            )
            if len(points):
                axes.plot(
                    points[:, 2],
                    points[:, 1],
                    mark,
                    color=colour,
                    markerfacecolor="none",
                    markersize=9,
                )
            plain(axes, title)
    draw_f1(figure.add_subplot(grid[len(shown), :]), ranked, POINT_BASELINE)
    figure.savefig(path, dpi=90)
