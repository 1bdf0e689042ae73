"""The curves of a training as a picture, and as a page that a browser keeps anew."""

from __future__ import annotations

import base64
import contextlib
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from smartscope.training.learning import Course

_REFRESH_S = 5
_RANGE = (0.5, 99.5)  # percentiles that are black and white


@dataclass(frozen=True, eq=False)
class Shown:
    """A patch as it goes in, as it is made, and, where it is known, as it should be.

    Attributes
    ----------
    images : dict
        By name, ``(Y, X)``; the last one gives black and white.
    """

    images: dict[str, npt.NDArray[Any]]


def draw_curves(path: Path | io.BytesIO, course: Course) -> None:
    """Draw the losses of training and validation over the steps, as PNG.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(course.steps, course.train, color="#0072b2", label="training")
    axes.plot(course.steps, course.watch, color="#d55e00", label="validation")
    if course.watch:
        best = int(np.argmin(course.watch))
        axes.plot(
            course.steps[best],
            course.watch[best],
            "o",
            color="#d55e00",
            label="best: these weights are kept",
        )
        axes.legend(frameon=False)
    axes.set(xlabel="steps", ylabel="loss")
    losses = [*course.train, *course.watch]
    if losses and min(losses) > 0:
        axes.set_yscale("log")
    axes.set_title(told_of(course), loc="left", fontsize=10)
    figure.savefig(path, dpi=100, format="png")


def told_of(course: Course) -> str:
    """Return in words whether it goes on, and whether it overfits."""
    return (course.ended or "goes on") + ("; it overfits" if course.overfits else "")


def write_page(path: Path, title: str, course: Course, shown: Sequence[Shown]) -> None:
    """Write a page that stands alone; while the training goes on it loads itself anew.

    Parameters
    ----------
    path : Path
        Replaced in one go, so that nobody reads half of it.
    title : str
        What is trained.
    course : Course
        How far it is.
    shown : sequence of Shown
        Patches of the images that watch over the training.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    picture = io.BytesIO()
    draw_curves(picture, course)
    refresh = (
        "" if course.ended else f'<meta http-equiv="refresh" content="{_REFRESH_S}">\n'
    )
    rows = "".join(
        f"<tr><th>{key}</th><td>{value}</td></tr>\n" for key, value in _facts(course)
    )
    warning = (
        "<p class=warn>It overfits: validation gets worse while training gets better. "
        "The weights of the best look are kept. More or other images help; a longer "
        "training does not.</p>\n"
        if course.overfits
        else ""
    )
    page = (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\n"
        f"{refresh}<title>{html.escape(title)}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body><h1>{html.escape(title)}</h1>\n{warning}<div class=both>\n"
        f"<table class=facts>\n{rows}</table>\n"
        f'<img class=curves alt="losses over the steps" src="{_inline(picture)}">\n'
        f"</div>\n{_strip(shown)}</body></html>\n"
    )
    beside = path.with_suffix(".new")
    beside.write_text(page, encoding="utf-8")
    # on Windows a browser that reads it holds it; the next look writes it again
    with contextlib.suppress(PermissionError):
        beside.replace(path)


def _facts(course: Course) -> list[tuple[str, str]]:
    planned = f" of {course.planned}" if course.planned else ""
    facts = [
        ("state", html.escape(told_of(course))),
        ("step", f"{course.step}{planned}"),
        ("spent", _minutes(course.seconds)),
    ]
    if not course.ended and course.planned and course.step:
        left = course.seconds / course.step * max(0, course.planned - course.step)
        facts.append(("left, at most", _minutes(left)))
    facts.append(("rate of learning", f"{course.rate:.3g}"))
    if course.watch:
        best = int(np.argmin(course.watch))
        facts += [
            ("training loss", f"{course.train[-1]:.4g}"),
            ("validation loss", f"{course.watch[-1]:.4g}"),
            ("best", f"{course.watch[best]:.4g} at step {course.steps[best]}"),
            ("looks since then", str(course.looks_since_best)),
        ]
    return facts


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _strip(shown: Sequence[Shown]) -> str:
    """Return patches side by side: a row for each way, a column for each place."""
    if not shown:
        return ""
    rows = []
    for name in shown[0].images:
        cells = []
        for one in shown:
            low, high = np.percentile([*one.images.values()][-1], _RANGE)
            cells.append(f'<img src="{_gray(one.images[name], low, high)}" alt="">')
        rows.append(f"<tr><th>{html.escape(name)}</th><td>{''.join(cells)}</td></tr>\n")
    return (
        f"<h2>Places that it does not learn from</h2>\n<table class=strip>\n"
        f"{''.join(rows)}</table>\n"
    )


def _gray(image: npt.NDArray[Any], low: float, high: float) -> str:
    from matplotlib.image import imsave

    kept = io.BytesIO()
    top = high if high > low else low + 1
    imsave(kept, image, cmap="gray", vmin=low, vmax=top, format="png")
    return _inline(kept)


def _inline(png: io.BytesIO) -> str:
    return "data:image/png;base64," + base64.b64encode(png.getvalue()).decode()


_STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2em auto;max-width:72em;"
    "padding:0 1em;color:#222;background:#fff}h1{font-size:1.4em}h2{font-size:1.1em}"
    "th{text-align:left;font-weight:normal;color:#666;padding-right:1.5em;"
    "vertical-align:top;white-space:nowrap}.both{display:flex;flex-wrap:wrap;gap:2em}"
    ".facts{align-self:start}.curves{max-width:100%}.warn{background:#fff3cd;"
    "padding:.6em 1em;border-left:4px solid #d55e00}"
    ".strip img{width:160px;margin-right:6px;image-rendering:pixelated}"
)
