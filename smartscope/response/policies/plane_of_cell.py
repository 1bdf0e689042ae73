"""In which plane of a z stack a cell is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import Frame, sharpness
from smartscope.response.follow_settings import FollowZSettings

_SMALLEST_PX = 8


@dataclass(frozen=True, slots=True)
class Stack:
    """What one visit told.

    Attributes
    ----------
    best_um : float
        Where the cell is.
    middle_um, span_um : float
        Of the planes; the span is from the lowest to the highest.
    """

    best_um: float
    middle_um: float
    span_um: float


@dataclass(slots=True)
class PlaneOfCell:
    """Collects the planes of one visit about a cell.

    Parameters
    ----------
    settings : FollowZSettings
        How many there are, and what is measured.
    """

    settings: FollowZSettings
    _visit: tuple[object, ...] = ()
    _planes: dict[float, float] = field(default_factory=dict)

    def take(self, frame: Frame, x_um: float, y_um: float) -> Stack | None:
        """Measure a plane; return where the cell is when the visit is complete.

        None before the last plane, for frames of bursts and series, and where no plane
        shows anything.

        Parameters
        ----------
        frame : Frame
            One plane of a visit of the survey.
        x_um, y_um : float
            Where the cell is, stage µm.
        """
        if frame.origin != "survey":
            return None
        visit = tuple(sorted(i for i in frame.event.index.items() if i[0] != "z"))
        if visit != self._visit:
            self._visit = visit
            self._planes.clear()
        self._planes[frame.state.z_um] = self._measured(frame, x_um, y_um)
        if len(self._planes) < self.settings.planes:
            return None
        planes = sorted(self._planes.items())
        self._planes = {}
        best_um = _peak(planes)
        if best_um is None:
            return None
        low, high = planes[0][0], planes[-1][0]
        return Stack(best_um, (low + high) / 2, high - low)

    def _measured(self, frame: Frame, x_um: float, y_um: float) -> float:
        about = _crop(frame, x_um, y_um, self.settings.box_um)
        if min(about.shape) < _SMALLEST_PX:
            return math.nan
        if self.settings.by == "sharpest":
            return sharpness(about)
        ground, bright = np.percentile(about, [50, 90])
        return float(about[about >= bright].mean() - ground)


def _crop(frame: Frame, x_um: float, y_um: float, edge_um: float) -> npt.NDArray[Any]:
    state, shape = frame.state, frame.pixels.shape
    at_um = np.array([[x_um, y_um]])
    ((row, column),) = state.stage_map.to_pixels(
        at_um, (shape[0], shape[1]), (state.x_um, state.y_um)
    )
    half = edge_um / state.pixel_size_um / 2
    rows, columns = (
        slice(max(0, round(middle - half)), max(0, round(middle + half) + 1))
        for middle in (row, column)
    )
    cut: npt.NDArray[Any] = frame.pixels[rows, columns]
    return cut


def _peak(planes: list[tuple[float, float]]) -> float | None:
    """Return the top of the parabola through the best plane and its neighbours.

    The z of the best plane itself where it is the lowest or highest, or a neighbour
    shows nothing; None if no plane shows anything.
    """
    z = [each[0] for each in planes]
    values = [-math.inf if math.isnan(v) else v for _, v in planes]
    best = max(range(len(values)), key=values.__getitem__)
    if not math.isfinite(values[best]):
        return None
    if best in (0, len(z) - 1):
        return z[best]
    about = slice(best - 1, best + 2)
    if not all(map(math.isfinite, values[about])):
        return z[best]
    curve, slope, _ = np.polyfit(np.array(z[about]) - z[best], values[about], 2)
    # neighbours lie no higher: the top is between them
    return z[best] if not curve < 0 else z[best] - float(slope) / (2 * float(curve))
