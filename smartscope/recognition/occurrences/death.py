"""A thing shrinks and loses its light, and has not divided."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from smartscope.recognition.ending_kinds import Death
from smartscope.recognition.life import Life
from smartscope.recognition.occurrences.condition import Baseline, Condition
from smartscope.recognition.occurrences.sighting import Sighting
from smartscope.recognition.tracker import Tracking

# the baseline takes in one value in this share of 'within_s': 15 of them are a quarter
_SAMPLES = 60


@dataclass(slots=True)
class _Watch:
    """One track under watch.

    Attributes
    ----------
    sampled_s : float
        When its baseline has last taken something in.
    usual : tuple of float
        Area and intensity it had before it shrank.
    onset : tuple
        Frame id and time of the first frame in which it was smaller; None while it is
        as large as ever.
    dark : int
        Detections so far, since then, in which its light was gone.
    """

    sampled_s: float = -math.inf
    usual: tuple[float, float] = (math.nan, math.nan)
    onset: tuple[int, float] | None = None
    dark: int = field(default=0)


class DeathRecognizer:
    """Says so when a thing has shrunk and then lost its whole light.

    Its baselines, of area and of intensity, are kept as they were before it shrank, for
    ``within_s``; that it looks large again does not help it, as blebs do that too. One
    that ends is told if its light was seen gone before.

    What is not a death: rounding up and dividing, which keep the light; a thing that
    only dims, as one out of focus or one that lifts off, which does not shrink; what
    the field's edge cuts.

    The confidence is the share of its light that is gone.
    """

    def __init__(self, settings: Death) -> None:
        self.settings = settings
        self._areas = Baseline(settings.baseline_frames)
        self._levels = Baseline(settings.baseline_frames)
        self._watched: dict[int, _Watch] = {}
        self._dark = Condition(settings)

    def look(self, tracking: Tracking) -> list[Sighting]:
        """Return the deaths that this frame completes."""
        found = []
        for life in tracking.lives.values():
            if life.row < 0:
                continue
            lost = self._lost_light(life, tracking)
            watch = self._watched.get(life.track_id)
            if lost is None or watch is None or watch.onset is None:
                continue
            seen = life.last
            held = self._dark.look(
                life.track_id,
                seen.frame_id,
                seen.time_s,
                beyond=lost >= 1 - self.settings.light_factor,
                back=False,
            )
            if held is not None:
                found.append(self._sighting(life, watch.onset, lost))
        for life in tracking.ended:
            watch = self._watched.get(life.track_id)
            told = self._dark.fired(life.track_id)
            if watch is not None and watch.onset and watch.dark and not told:
                found.append(
                    self._sighting(life, watch.onset, 1 - self.settings.light_factor)
                )
        return found

    def resume(self, track_id: int) -> None:
        """After a restart: it was told for this track."""
        self._dark.resume(track_id)

    def forget(self, track_id: int) -> None:
        """Drop what is remembered of a track that is gone."""
        self._areas.forget(track_id)
        self._levels.forget(track_id)
        self._dark.forget(track_id)
        self._watched.pop(track_id, None)

    def _lost_light(self, life: Life, tracking: Tracking) -> float | None:
        """Return which share of its light is gone; None if it is not judged."""
        settings, seen = self.settings, life.last
        edge_um = tracking.field_of_view.inside_um(seen.x_um, seen.y_um)
        whole = seen.whole and edge_um >= settings.edge_um
        if not whole or not seen.area_um2 > 0 or math.isnan(seen.intensity):
            return None
        watch = self._watched.setdefault(life.track_id, _Watch())
        if watch.onset is None and not self._shrinks(life, watch):
            if seen.time_s - watch.sampled_s >= settings.within_s / _SAMPLES:
                watch.sampled_s = seen.time_s
                self._areas.add(life.track_id, seen.area_um2)
                self._levels.add(life.track_id, seen.intensity)
            return None
        area, level = watch.usual
        smaller, brighter = seen.area_um2 / area, seen.intensity / level
        assert watch.onset is not None
        if seen.time_s - watch.onset[1] > settings.within_s:
            watch.onset, watch.dark = None, 0
            return None
        if brighter > settings.intensity_factor:
            return 0.0  # condensed
        lost = 1 - smaller * brighter
        watch.dark += lost >= 1 - settings.light_factor
        return lost

    def _shrinks(self, life: Life, watch: _Watch) -> bool:
        """See whether it is smaller than usual now, and since when."""
        area = self._areas.of(life.track_id)
        level = self._levels.of(life.track_id)
        if area is None or level is None or not level > 0:
            return False
        if life.last.area_um2 > self.settings.area_factor * area:
            return False
        watch.usual, onset = (area, level), life.last
        for seen in reversed(life.trail):
            if seen.area_um2 > (1 + self.settings.area_factor) / 2 * area:
                break
            onset = seen
        watch.onset, watch.dark = (onset.frame_id, onset.time_s), 0
        return True

    @staticmethod
    def _sighting(life: Life, onset: tuple[int, float], lost: float) -> Sighting:
        last = life.last
        return Sighting(
            x_um=last.x_um,
            y_um=last.y_um,
            onset_s=onset[1],
            confidence=lost,
            lives=(life,),
            frame_ids=(onset[0],) if 0 <= onset[0] != last.frame_id else (),
        )
