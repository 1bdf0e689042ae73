"""Two things become one."""

from __future__ import annotations

import math

from smartscope.recognition.life import Life
from smartscope.recognition.occurrences.sighting import Sighting
from smartscope.recognition.track_kinds import Merge
from smartscope.recognition.tracker import Tracking


class MergeRecognizer:
    """Says so when a track ends beside another that has grown since.

    What is not a merge: a loss beside a thing that stays as large as it was, which is
    only a loss. The track left goes on; the lost one has ended.

    The confidence is the growth over the lost area, at most 1.
    """

    def __init__(self, settings: Merge) -> None:
        self.settings = settings

    def look(self, tracking: Tracking) -> list[Sighting]:
        """Return the merges that this frame completes."""
        found = []
        taken: set[int] = set()
        for lost in tracking.ended:
            if lost.frames < self.settings.min_age or not lost.last.area_um2 > 0:
                continue
            best: tuple[float, Life] | None = None
            for life in tracking.lives.values():
                growth = self._growth(lost, life)
                if (
                    life.track_id not in taken
                    and growth >= self.settings.growth
                    and (best is None or growth > best[0])
                ):
                    best = growth, life
            if best is None:
                continue
            growth, life = best
            seen = life.last
            edge_um = tracking.field_of_view.inside_um(seen.x_um, seen.y_um)
            if edge_um < self.settings.edge_um:
                continue
            taken.add(life.track_id)
            onset = lost.first_missed or (lost.last.frame_id, lost.last.time_s)
            found.append(
                Sighting(
                    x_um=seen.x_um,
                    y_um=seen.y_um,
                    onset_s=onset[1],
                    confidence=min(1.0, growth),
                    lives=(life, lost),
                    frame_ids=(onset[0],) if onset[0] >= 0 else (),
                )
            )
        return found

    def _growth(self, lost: Life, life: Life) -> float:
        """Return by how many times the lost area another track has grown since."""
        settings = self.settings
        if life.row < 0 or life.frames < settings.min_age:
            return -math.inf
        here, there = life.last, lost.last
        if math.hypot(here.x_um - there.x_um, here.y_um - there.y_um) > (
            settings.max_distance_um
        ):
            return -math.inf
        since_s = lost.first_missed[1] if lost.first_missed else there.time_s
        before = [s.area_um2 for s in life.trail if s.time_s < since_s]
        after = [s.area_um2 for s in life.trail if s.time_s >= since_s]
        if not before or not after:
            return -math.inf
        growth = sorted(after)[len(after) // 2] - sorted(before)[len(before) // 2]
        return growth / there.area_um2

    def resume(self, track_id: int) -> None:
        """Nothing is remembered."""

    def forget(self, track_id: int) -> None:
        """Nothing is remembered."""
