"""The pictures of a trial: what was given, what was made of it, where it is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smartscope.trial.finding import BASELINE, FoundExample
from smartscope.trial.restoration import MEASURE, WAYS, RestoredExample
from smartscope.validation.metrics import fitted, ssim_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Image = npt.NDArray[Any]

_ROWS = 3
_NAMED = 40  # images whose names can be read beside each other
_EDGE_PX = 256
INK, GOOD, BAD = "#14171c", "#009e73", "#d55e00"


def draw_restoration(
    path: Path, judged: Sequence[RestoredExample], told: dict[str, Any]
) -> None:
    """Draw the worst, the middle and the best example, and the gain of all.

    Parameters
    ----------
    path : Path
        Of the PNG.
    judged : sequence of RestoredExample
        All of them.
    told : dict
        As `smartscope.trial.restoration.conclude` gives it.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    ranked = sorted(judged, key=lambda e: e.gain_db("raw"))
    shown = some(ranked)
    figure, grid = new_figure(len(shown), 8, str(told["says"]))
    for row, example in enumerate(shown):
        _draw_row(figure, [grid[row, column] for column in range(8)], example)
    axes = figure.add_subplot(grid[len(shown), :])
    places = np.arange(len(ranked))
    for way, colour in zip(WAYS, ("#999999", "#0072b2", BAD), strict=True):
        values = [example.figures[way][MEASURE] for example in ranked]
        axes.plot(places, values, "o-", color=colour, label=way, markersize=4, lw=1)
    named(axes, [e.name for e in ranked])
    axes.set_ylabel("PSNR after affine fit (dB)")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=90)


def _draw_row(figure: Figure, cells: list[Any], example: RestoredExample) -> None:
    clean = np.asarray(example.images["clean"], np.float64)
    window = _middle(clean.shape)
    low, high = np.percentile(clean[window], [0.5, 99.8])
    high = max(high, low + 1e-9)
    onto = {way: fitted(example.images[way], clean) for way in WAYS}
    errors = {way: np.abs(onto[way] - clean) for way in WAYS}
    most = max(float(np.percentile(errors["gaussian"][window], 99.5)), 1e-9)
    titles = {
        "raw": "raw",
        "gaussian": f"Gaussian, σ {example.sigma_px:.2g} px",
        "prediction": "prediction",
    }
    pictures: list[tuple[str, Image, dict[str, Any]]] = []
    for way in WAYS:
        figures = example.figures[way]
        numbers = f"{figures[MEASURE]:.2f} dB, SSIM {figures['affine_ssim']:.2f}"
        title = f"{titles[way]}\n{numbers}"
        pictures.append((title, onto[way], {"cmap": "gray", "vmin": low, "vmax": high}))
    pictures.append(
        (f"truth\n{example.name}", clean, {"cmap": "gray", "vmin": low, "vmax": high})
    )
    off = {"cmap": "magma", "vmin": 0, "vmax": most}
    pictures += [(f"error, {way}", errors[way], off) for way in WAYS]
    pictures.append(
        (
            "SSIM of the\nprediction",
            ssim_map(onto["prediction"], clean),
            {"cmap": "viridis", "vmin": 0, "vmax": 1},
        )
    )
    for cell, (title, image, how) in zip(cells, pictures, strict=True):
        axes = figure.add_subplot(cell)
        axes.imshow(image[window], interpolation="nearest", **how)
        plain(axes, title)


def draw_finding(
    path: Path, judged: Sequence[FoundExample], told: dict[str, Any]
) -> None:
    """Draw what is there and what was found in the worst, middle and best example.

    Parameters
    ----------
    path : Path
        Of the PNG.
    judged : sequence of FoundExample
        All of them.
    told : dict
        As `smartscope.trial.finding.conclude` gives it.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    ranked = sorted(judged, key=lambda e: float(e.figures["prediction"]["f1"]))
    shown = some(ranked)
    tall = max(e.image.shape[0] / e.image.shape[1] for e in shown)
    figure, grid = new_figure(len(shown), 3, str(told["says"]), tall)
    for row, example in enumerate(shown):
        low, high = np.percentile(example.image, [0.5, 99.8])
        for column, title in enumerate(("image", "true", "found")):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(example.image, cmap="gray", vmin=low, vmax=max(high, low + 1))
            if column == 1:
                axes.contour(example.truth > 0, [0.5], colors=GOOD, linewidths=0.8)
                title = f"true: {len(np.unique(example.truth)) - 1}"
            if column == 2:
                _draw_found(axes, example)
                f1 = float(example.figures["prediction"]["f1"])
                title = f"found: {len(example.found)}, F1 {f1:.2f}"
            plain(axes, f"{example.name}, {title}" if not column else title)
    draw_f1(figure.add_subplot(grid[len(shown), :]), ranked, BASELINE)
    figure.savefig(path, dpi=90)


def draw_f1(axes: Axes, ranked: Sequence[Any], baseline: str) -> None:
    """Draw the F1 of the prediction over all images, and of the baseline if there is.

    Parameters
    ----------
    axes : Axes
        To draw on.
    ranked : sequence
        Examples with ``name`` and ``figures``, the worst first.
    baseline : str
        Name of the other way in ``figures``.
    """
    places = np.arange(len(ranked))
    for way, colour in (("prediction", BAD), (baseline, "#0072b2")):
        if way in ranked[0].figures:
            values = [float(e.figures[way]["f1"]) for e in ranked]
            axes.plot(places, values, "o-", color=colour, label=way, markersize=4, lw=1)
    named(axes, [e.name for e in ranked])
    axes.set(ylabel="F1", ylim=(-0.02, 1.02))
    axes.legend(frameon=False)


def _draw_found(axes: Axes, example: FoundExample) -> None:
    found = example.found
    if found.labels is not None and found.labels.any():
        axes.contour(found.labels > 0, [0.5], colors=BAD, linewidths=0.8)
    elif len(found):
        axes.plot(found.centers_px[:, 1], found.centers_px[:, 0], "+", color=BAD)


def new_figure(
    rows: int, columns: int, says: str, tall: float = 1.0
) -> tuple[Figure, Any]:
    """Return a figure under its verdict, and its grid: rows of pictures, and a foot.

    Parameters
    ----------
    rows, columns : int
        Of pictures.
    says : str
        The verdict.
    tall : float
        Height over width of the tallest picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as NewFigure

    width, side, foot = 17.0, 17.0 / columns, 2.6
    if columns < 4:
        width, side = 13.0, 13.0 / columns
    said = wrap(says, int(width * 9))
    side *= min(max(tall, 0.3), 1.5)
    head = 0.35 + 0.24 * len(said)
    height = head + rows * (side + 0.45) + foot + 0.9
    figure = NewFigure(figsize=(width, height))
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        rows + 1,
        columns,
        height_ratios=[side + 0.45] * rows + [foot],
        left=0.05,
        right=0.99,
        top=1 - head / height,
        bottom=0.9 / height,
        hspace=0.18,
        wspace=0.05,
    )
    for line, text in enumerate(said):
        down = (0.22 + 0.24 * line) / height
        figure.text(0.01, 1 - down, text, size=11, color=INK, va="center")
    return figure, grid


def named(axes: Axes, names: Sequence[str]) -> None:
    """Write the names of images below, where there is room for them."""
    if len(names) > _NAMED:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(names)} images, the worst of the prediction first")
    else:
        axes.set_xticks(np.arange(len(names)), names, rotation=45, ha="right")


def plain(axes: Axes, title: str) -> None:
    """Give a picture its title and take its ticks away."""
    axes.set_title(title, size=8.5, color=INK)
    axes.set(xticks=[], yticks=[])


def some(ranked: Sequence[Any]) -> list[Any]:
    """Return the first, the middle one and the last, each once."""
    at = np.unique(np.linspace(0, len(ranked) - 1, min(_ROWS, len(ranked))).astype(int))
    return [ranked[i] for i in at]


def _middle(shape: tuple[int, ...]) -> tuple[slice, slice]:
    first = [max(0, (n - _EDGE_PX) // 2) for n in shape]
    return (
        slice(first[0], first[0] + _EDGE_PX),
        slice(first[1], first[1] + _EDGE_PX),
    )
