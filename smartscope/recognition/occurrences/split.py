"""One thing becomes two."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import combinations

from smartscope.recognition.life import Life, Seen
from smartscope.recognition.occurrences.sighting import Sighting
from smartscope.recognition.settings import Split
from smartscope.recognition.tracker import Tracking

_MOTHER_FRAMES = 3  # her last positions, any of which the daughters may surround
_YOUNG = 2  # detections: the sister of a daughter found a frame late


class SplitRecognizer:
    """Says so when two things lie on either side of where one was.

    One daughter is a track that begins with this frame. The other is what the mother's
    track goes on at, or, if the mother is missed or lost, a second track that has just
    begun. What is not a split: a thing beside a mother that stays where she was (the
    pair must surround her: see ``max_asymmetry``), a neighbour seen again after a gap,
    things that come into view because the field moved, things of very different
    brightness.

    The confidence is the geometric mean of symmetry, ``1 - asymmetry / max_asymmetry``,
    and similarity, the ratio of the dimmer daughter's intensity to the brighter one's.

    Parameters
    ----------
    settings : Split
        Distances, ages, ratios.
    had_before : callable
        Whether a track has had the occurrence that ``after`` names since a time.
    """

    def __init__(
        self, settings: Split, had_before: Callable[[int, float], bool]
    ) -> None:
        self.settings = settings
        self._had_before = had_before

    def look(self, tracking: Tracking) -> list[Sighting]:
        """Return the splits of this frame; each mother and daughter is in one only."""
        newborn = [tracking.lives[i] for i in tracking.born]
        newborn = [life for life in newborn if life.was_visible]
        if not newborn:
            return []
        mothers = [
            life for life in tracking.lives.values() if self._may_divide(life, tracking)
        ]
        mothers += [life for life in tracking.ended if self._may_divide(life, tracking)]
        pairs = [
            (confidence, mother, one, other)
            for mother in mothers
            for one, other in self._daughters(mother, newborn, tracking)
            if (confidence := self._confidence(mother, one, other)) is not None
        ]
        pairs.sort(key=lambda p: (-p[0], p[1].track_id, p[2].track_id, p[3].track_id))
        used: set[int] = set()
        found = []
        for confidence, mother, one, other in pairs:
            ids = {mother.track_id, one.track_id, other.track_id}
            if ids & used:
                continue
            used |= ids
            x_um = (one.last.x_um + other.last.x_um) / 2
            y_um = (one.last.y_um + other.last.y_um) / 2
            edge_um = tracking.field_of_view.inside_um(x_um, y_um)
            if edge_um < self.settings.edge_um:
                continue
            before = self._before(mother)[-1].frame_id
            found.append(
                Sighting(
                    x_um=x_um,
                    y_um=y_um,
                    onset_s=tracking.time_s,
                    confidence=confidence,
                    lives=(mother, one, other),
                    frame_ids=(before,) if before >= 0 else (),
                )
            )
        return found

    def resume(self, track_id: int) -> None:
        """Nothing is remembered."""

    def forget(self, track_id: int) -> None:
        """Nothing is remembered."""

    def _may_divide(self, life: Life, tracking: Tracking) -> bool:
        settings = self.settings
        frames_before = life.frames - (life.row >= 0)
        if frames_before < settings.min_age:
            return False
        return settings.after is None or self._had_before(
            life.track_id, tracking.time_s - settings.within_s
        )

    @staticmethod
    def _before(mother: Life) -> list[Seen]:
        """Return the mother's last positions before this frame."""
        trail = list(mother.trail)
        return (trail[:-1] if mother.row >= 0 else trail)[-_MOTHER_FRAMES:]

    def _daughters(
        self, mother: Life, newborn: list[Life], tracking: Tracking
    ) -> Iterator[tuple[Life, Life]]:
        near = [life for life in newborn if self._is_near(mother, life)]
        if not near:
            return
        if mother.row >= 0:
            yield from ((mother, life) for life in near)
            return
        yield from combinations(near, 2)
        young = [
            life
            for life in tracking.lives.values()
            if 1 < life.frames <= _YOUNG
            and life.row >= 0
            and life.was_visible
            and life.parent_id < 0
            and self._is_near(mother, life)
        ]
        yield from ((one, other) for one in young for other in near)

    def _is_near(self, mother: Life, life: Life) -> bool:
        """Whether it lies near the mother, and no lost neighbour explains it better."""
        here, there = self._before(mother)[-1], life.last
        far = math.hypot(there.x_um - here.x_um, there.y_um - here.y_um)
        return far <= self.settings.max_distance_um and life.lost_near_um >= far - 1e-6

    def _confidence(self, mother: Life, one: Life, other: Life) -> float | None:
        """Return the confidence that a pair are her daughters, None if they are not."""
        settings = self.settings
        a, b = one.last, other.last
        dimmer, brighter = sorted((a.intensity, b.intensity))
        if not dimmer > 0 or brighter > settings.max_brightness_ratio * dimmer:
            return None
        before = self._before(mother)
        far = math.hypot(a.x_um - before[-1].x_um, a.y_um - before[-1].y_um)
        apart = math.hypot(a.x_um - b.x_um, a.y_um - b.y_um)
        if far > settings.max_distance_um or not apart > 0:
            return None
        x_um, y_um = (a.x_um + b.x_um) / 2, (a.y_um + b.y_um) / 2
        off = min(math.hypot(x_um - m.x_um, y_um - m.y_um) for m in before)
        if off / apart > settings.max_asymmetry:
            return None
        symmetry = 1 - off / apart / settings.max_asymmetry
        return math.sqrt(symmetry * dimmer / brighter)
