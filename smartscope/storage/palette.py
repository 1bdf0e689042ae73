"""Colours and words of the summary picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# colours that the colour-blind tell apart (Okabe and Ito), on a dark ground
GROUND, INK, FAINT = "#14171c", "#e8eaed", "#6b7280"
SURVEY, BURST, SERIES, AUDIT = "#56b4e9", "#e69f00", "#cc79a7", "#f0e442"
STIMULATION = "#d55e00"
VISIT = "#a58af9"
FOCUS = "#9d8df1"
TRUE, FALSE, MISSED = "#2fbf8f", "#e0607e", "#9aa0a6"
ROWS = 8  # most places shown


def natural(place: str) -> tuple[str, int]:
    """Return what places are sorted by: p2 before p10."""
    letters = place.rstrip("0123456789")
    return letters, int(place[len(letters) :] or 0)


def time_unit(duration_s: float) -> tuple[float, str]:
    """Return seconds in a unit, and the unit, that suit a duration."""
    for scale, unit in ((3600.0, "h"), (60.0, "min")):
        if duration_s > 3 * scale:
            return scale, unit
    return 1.0, "s"


def time(seconds: float) -> str:
    """Return a duration in words."""
    scale, unit = time_unit(abs(seconds))
    return f"{seconds / scale:.3g} {unit}"


def stamp(after_s: float) -> str:
    """Return a time since something in words."""
    if abs(after_s) < 60:
        digits = 0 if after_s == 0 or abs(after_s) >= 10 else 2
        return f"{after_s:+.{digits}f} s"
    return f"{after_s / 60:+.1f} min"


def count(n: float) -> str:
    """Return a number in thousands or millions."""
    for scale, unit in ((1e6, "M"), (1e3, "k")):
        if n >= scale:
            return f"{n / scale:g}{unit}"
    return f"{n:g}"


def ms(ms: float) -> str:
    """Return milliseconds with two digits that count."""
    return f"{ms:.2g}" if ms < 100 else f"{ms:.0f}"


def round_below(um: float) -> float:
    """Return the longest round length (1, 2, 5 …) up to one."""
    power = 10.0 ** np.floor(np.log10(um)) if um > 0 else 1.0
    return float(max(m for m in (1, 2, 5) if m * power <= um * 1.0001) * power)


def short(text: str, longest: int) -> str:
    """Return a text cut to a length."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def nothing(axes: Axes, why: str) -> None:
    """Say in an empty panel why it is empty."""
    axes.text(
        0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color=FAINT
    )
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(False)
