"""What the tracker remembers of one track; `Track` is its snapshot for others."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from smartscope.recognition.track import Track

TRAIL = 8
BASELINE_FRAMES = 15
SPEED_OVER = 3  # positions
_EXPECTED_FROM = 5  # positions


class Seen(NamedTuple):
    """One detection of a track.

    ``whole`` is False for one so near to the edge of the field that part of it may lie
    outside: its intensity says little of the thing. ``label`` is its class. Shape,
    texture and ratio are NaN where nobody asked for them.
    """

    frame_id: int
    time_s: float
    x_um: float
    y_um: float
    intensity: float
    whole: bool = True
    area_um2: float = math.nan
    score: float = math.nan
    label: str = ""
    elongation: float = math.nan
    solidity: float = math.nan
    texture: float = math.nan
    ratio: float = math.nan


@dataclass(slots=True, eq=False)
class Life:
    """One track, growing.

    The baseline is the median of the intensities of up to 15 earlier detections: a cell
    that brightens does not pull its own baseline up before half of them are bright.

    Attributes
    ----------
    trail : deque of Seen
        Its last detections, the newest last.
    unseen : int
        Frames of its place in a row whose field did not cover it.
    gaps : int
        Frames in which it was missed, all in all.
    first_missed : tuple or None
        Frame id and time of the first frame of the present gap.
    was_visible : bool
        Whether the frame before its birth showed the spot where it was born: only then
        is it known not to have been there.
    origin_um : tuple of float
        Where it was first seen, stage x, y.
    lost_near_um : float
        At birth, distance to the nearest track lost shortly before; infinite if none.
    """

    track_id: int
    place: str
    trail: deque[Seen]
    levels: deque[float]
    first_seen_s: float
    frames: int = 1
    missed: int = 0
    unseen: int = 0
    gaps: int = 0
    parent_id: int = -1
    light_ms_percent: float = 0.0
    row: int = -1
    baseline: float = math.nan
    first_missed: tuple[int, float] | None = None
    was_visible: bool = False
    lost_near_um: float = field(default=math.inf)
    origin_um: tuple[float, float] = (math.nan, math.nan)

    @classmethod
    def born(
        cls, track_id: int, place: str, seen: Seen, row: int, light_ms_percent: float
    ) -> Life:
        """Return the track of a thing seen for the first time."""
        levels: deque[float] = deque(maxlen=BASELINE_FRAMES)
        if seen.whole and math.isfinite(seen.intensity):
            levels.append(seen.intensity)
        return cls(
            track_id=track_id,
            place=place,
            trail=deque([seen], maxlen=TRAIL),
            levels=levels,
            first_seen_s=seen.time_s,
            light_ms_percent=light_ms_percent,
            row=row,
            origin_um=(seen.x_um, seen.y_um),
        )

    @property
    def last(self) -> Seen:
        """Its newest detection."""
        return self.trail[-1]

    def see(self, seen: Seen, row: int) -> None:
        """Go on with a detection of this frame."""
        if len(self.levels) > 1:
            self.baseline = _median(self.levels)
        if seen.whole and math.isfinite(seen.intensity):
            self.levels.append(seen.intensity)
        self.trail.append(seen)
        self.frames += 1
        self.missed = self.unseen = 0
        self.first_missed = None
        self.row = row

    def miss(self, frame_id: int, time_s: float) -> None:
        """Note that a frame showed its spot and not the thing."""
        if self.missed == 0:
            self.first_missed = (frame_id, time_s)
        self.missed += 1
        self.gaps += 1
        self.unseen = 0
        self.row = -1

    def speed_um_per_min(self, over: int = SPEED_OVER) -> float:
        """Return its path over the last positions, over the time they took.

        NaN while there are fewer positions than asked for.
        """
        trail = self.trail
        if len(trail) < over:
            return math.nan
        first, path_um = len(trail) - over, 0.0
        for i in range(first + 1, len(trail)):
            path_um += math.hypot(
                trail[i].x_um - trail[i - 1].x_um, trail[i].y_um - trail[i - 1].y_um
            )
        took_s = trail[-1].time_s - trail[first].time_s
        return path_um / took_s * 60 if took_s > 0 else math.nan

    def expected_um(self, time_s: float) -> tuple[float, float]:
        """Return where on the stage it is expected, if it goes on as it went.

        From where it was seen last with the mean velocity over its last positions,
        times the fourth power of their persistence (net displacement over path): one
        that goes straight is expected ahead, one that wanders where it was.

        Parameters
        ----------
        time_s : float
            Of the frame that it is looked for in.
        """
        trail = self.trail
        last = trail[-1]
        n = min(len(trail), _EXPECTED_FROM)
        if n < 3:
            return last.x_um, last.y_um
        first, path_um = trail[-n], 0.0
        for i in range(len(trail) - n + 1, len(trail)):
            one, other = trail[i - 1], trail[i]
            path_um += math.hypot(other.x_um - one.x_um, other.y_um - one.y_um)
        took_s = last.time_s - first.time_s
        if not (path_um > 0 and took_s > 0):
            return last.x_um, last.y_um
        dx, dy = last.x_um - first.x_um, last.y_um - first.y_um
        share = (math.hypot(dx, dy) / path_um) ** 4
        ahead = share * (time_s - last.time_s) / took_s
        return last.x_um + ahead * dx, last.y_um + ahead * dy

    def track(self) -> Track:
        """Return it as it stands."""
        last = self.trail[-1]
        return Track(
            track_id=self.track_id,
            place=self.place,
            x_um=last.x_um,
            y_um=last.y_um,
            first_seen_s=self.first_seen_s,
            last_seen_s=last.time_s,
            frames=self.frames,
            missed=self.missed,
            intensity=last.intensity,
            baseline=self.baseline,
            parent_id=self.parent_id,
            light_ms_percent=self.light_ms_percent,
            detection=self.row,
            area_um2=last.area_um2,
            speed_um_per_min=self.speed_um_per_min(),
            score=last.score,
            label=last.label,
            elongation=last.elongation,
            solidity=last.solidity,
            texture=last.texture,
            ratio=last.ratio,
        )

    @classmethod
    def resumed(cls, track: Track) -> Life:
        """Return the track as far as its snapshot tells, after a restart."""
        seen = Seen(
            -1,
            track.last_seen_s,
            track.x_um,
            track.y_um,
            track.intensity,
            area_um2=track.area_um2,
            score=track.score,
            label=track.label,
        )
        life = cls.born(track.track_id, track.place, seen, -1, track.light_ms_percent)
        if math.isfinite(track.baseline):
            # the median of the lost intensities stands for each of them
            life.levels.extendleft([track.baseline] * min(track.frames - 1, 14))
        life.first_seen_s = track.first_seen_s
        life.frames, life.missed = track.frames, track.missed
        life.parent_id, life.baseline = track.parent_id, track.baseline
        if track.missed:
            life.first_missed = (-1, track.last_seen_s)
        return life


def _median(values: deque[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return (ordered[half - 1] + ordered[half]) / 2
