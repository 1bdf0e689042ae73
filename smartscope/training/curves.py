"""The curves of a training as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smartscope.training.learning import Course


def draw_curves(path: Path, course: Course) -> None:
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
    axes.set(xlabel="steps", ylabel="loss", yscale="log")
    told = course.ended or "goes on"
    if course.overfits:
        told += "; it overfits"
    axes.set_title(told, loc="left", fontsize=10)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=100)
