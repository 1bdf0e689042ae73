"""What a frame showed of the specimen, when, and for how much light."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smartscope.acquisition import StageMap


@dataclass(frozen=True, slots=True)
class View:
    """The field of one frame.

    Attributes
    ----------
    place : str
        The place it belongs to.
    time_s : float
        When, on the run's clock.
    x_um, y_um : tuple of float
        First and last stage coordinate of the field (its bounding box).
    light_ms_percent : float
        Light of this frame.
    survey : bool
        True for the survey, False for a burst.
    visit : int
        Frames of one place with the same number belong to one visit: its channels and
        planes. -1 if that is not known.
    stored : bool
        False if its pixels were not kept, by policy: it has lit, and shows nothing to
        anybody who looks later.
    """

    place: str
    time_s: float
    x_um: tuple[float, float]
    y_um: tuple[float, float]
    light_ms_percent: float = 0.0
    survey: bool = True
    visit: int = -1
    stored: bool = True

    def shows(self, x_um: float, y_um: float) -> bool:
        """Return whether a point lies in the field, its edge included."""
        return (
            self.x_um[0] <= x_um <= self.x_um[1]
            and self.y_um[0] <= y_um <= self.y_um[1]
        )


def views(headers: Iterable[Mapping[str, Any]]) -> list[View]:
    """Return the views of frames from their headers (``Frame.header()``), by time."""
    found = []
    for header in headers:
        state = header["state"]
        rows, columns = header["shape"]
        (a, b), (c, d) = state.get("orientation") or ((1.0, 0.0), (0.0, 1.0))
        # outer edges of the corner pixels
        row, column = state.get("offset_px", (0.0, 0.0))
        stage_map = StageMap(state["pixel_size_um"], ((a, b), (c, d)), (row, column))
        corners = stage_map.to_stage(
            np.array([[-0.5, -0.5], [rows - 0.5, columns - 0.5]]),
            (rows, columns),
            (state["x_um"], state["y_um"]),
        )
        low, high = corners.min(axis=0), corners.max(axis=0)
        power = state.get("power_percent", 100.0) * state.get("lit_share", 1.0)
        found.append(
            View(
                place=header["place"],
                time_s=header["time_s"],
                x_um=(float(low[0]), float(high[0])),
                y_um=(float(low[1]), float(high[1])),
                # the light of an exposure counts once, whoever looked at it
                light_ms_percent=0.0
                if header.get("shares_light")
                else state["exposure_ms"] * power,
                survey=header.get("origin", "survey") == "survey",
                visit=_visit(header),
                stored=header.get("kind") != "unstored",
            )
        )
    return sorted(found, key=lambda v: v.time_s)


def _visit(header: Mapping[str, Any]) -> int:
    if "index" in header:  # of a stored frame: t, c, z in its image
        return int(header["index"][0])
    return int((header["event"].get("index") or {}).get("t", -1))
