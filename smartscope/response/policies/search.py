"""Where to look for a lost cell: the fields about the one it was last seen in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from smartscope.acquisition import Frame
from smartscope.recognition import Track
from smartscope.response.observation import Observation

_SHARE = 0.7  # of the field's smaller side: neighbours overlap, nothing lies between
_ARRIVED_UM = 1.0
_ALIKE = math.log(2.0)  # a rounding cell gets brighter by less than this factor
_AROUND = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(slots=True)
class Search:
    """Looks at some fields about a point, nearest first, one visit each.

    Attributes
    ----------
    x_um, y_um : float
        Where the cell was last seen.
    since_s : float
        When; only tracks that began later can be it.
    left : list
        Points still to look at.
    look_like : tuple of float
        Intensity and area that the cell had; NaN where they are not known.
    looked : int
        Fields looked at.
    """

    x_um: float
    y_um: float
    since_s: float
    left: list[tuple[float, float]]
    look_like: tuple[float, float] = (math.nan, math.nan)
    looked: int = 0
    wanted: tuple[float, float] | None = field(default=None)

    @classmethod
    def about(
        cls,
        x_um: float,
        y_um: float,
        since_s: float,
        frame: Frame,
        fields: int,
        look_like: tuple[float, float] = (math.nan, math.nan),
    ) -> Search:
        """Begin at the place where it was lost, then around it."""
        field_px = frame.state.field_px or frame.pixels.shape
        step_um = _SHARE * min(field_px) * frame.state.pixel_size_um
        around = [(x_um + i * step_um, y_um + k * step_um) for i, k in _AROUND]
        points = [(x_um, y_um), *around][: fields + 1]
        return cls(x_um, y_um, since_s, points, look_like)

    def look(self, seen: Observation) -> tuple[float, float] | None:
        """Return the point to visit next; None when all have been looked at."""
        state = seen.frame.state
        if self.wanted is not None:
            off_um = math.dist(self.wanted, (state.x_um, state.y_um))
            if off_um > _ARRIVED_UM:
                return self.wanted
            self.looked += 1
            self.wanted = None
        if not self.left:
            return None
        self.wanted = self.left.pop(0)
        return self.wanted

    def found(self, seen: Observation) -> Track | None:
        """Return the nearest track that began since and looks like it, or None."""
        return min(self._candidates(seen), key=self._far, default=None)

    def _candidates(self, seen: Observation) -> Iterator[Track]:
        for track in seen.tracks.values():
            if (
                track.first_seen_s > self.since_s
                and track.detection >= 0
                and self._is_alike(track)
            ):
                yield track

    def _is_alike(self, track: Track) -> bool:
        pairs = zip(self.look_like, look_of(track), strict=True)
        return not any(
            before > 0 and now > 0 and abs(math.log(now / before)) > _ALIKE
            for before, now in pairs
        )

    def _far(self, track: Track) -> tuple[float, int]:
        far_um = math.hypot(track.x_um - self.x_um, track.y_um - self.y_um)
        return far_um, track.track_id


def look_of(track: Track) -> tuple[float, float]:
    """Return intensity, of its baseline where there is one, and area of a track."""
    known = track.baseline if track.baseline > 0 else track.intensity
    return known, track.area_um2
