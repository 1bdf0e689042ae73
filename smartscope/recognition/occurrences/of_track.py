"""A track against its own past: darker, flashing, rounding up, fast, far."""

from __future__ import annotations

import math
from collections.abc import Callable

from smartscope.recognition.life import Life, Seen
from smartscope.recognition.occurrence_base import CountedBase
from smartscope.recognition.occurrences.condition import Baseline, Condition
from smartscope.recognition.occurrences.sighting import Sighting
from smartscope.recognition.track_kinds import (
    Dim,
    Displacement,
    Flash,
    RoundUp,
    Speed,
)
from smartscope.recognition.tracker import Tracking

Judged = tuple[bool, bool]
"""Whether a value is beyond its bound, and whether it is back."""


class TrackRecognizer:
    """Says so when a track meets a condition in n of its last m detections.

    The confidence is the share of the looks taken into account that show it.

    Parameters
    ----------
    settings : CountedBase
        How many of how many.
    judge : callable
        Of a track seen in the frame: beyond, back; None if nothing can be said.
    follows : bool
        The bound follows the value.
    """

    def __init__(
        self,
        settings: CountedBase,
        judge: Callable[[Life, Tracking], Judged | None],
        *,
        follows: bool = False,
        forgets: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._judge = judge
        self._condition = Condition(settings, follows=follows)
        self._forgets = forgets

    def look(self, tracking: Tracking) -> list[Sighting]:
        """Return the tracks that meet it from this frame on."""
        found = []
        for life in tracking.lives.values():
            if life.row < 0:
                continue
            judged = self._judge(life, tracking)
            if judged is None:
                continue
            seen = life.last
            held = self._condition.look(
                life.track_id,
                seen.frame_id,
                seen.time_s,
                beyond=judged[0],
                back=judged[1],
            )
            if held is not None:
                found.append(
                    Sighting(
                        x_um=seen.x_um,
                        y_um=seen.y_um,
                        onset_s=held.onset_s,
                        confidence=held.share,
                        lives=(life,),
                        frame_ids=held.frame_ids,
                    )
                )
        return found

    def told(self, track_id: int) -> bool:
        """Return whether it was told for this track and has not come back."""
        return self._condition.fired(track_id)

    def resume(self, track_id: int) -> None:
        """After a restart: it was told for this track."""
        self._condition.resume(track_id)

    def forget(self, track_id: int) -> None:
        """Drop what is remembered of a track that is gone."""
        self._condition.forget(track_id)
        self._forgets(track_id)


def dim(settings: Dim) -> TrackRecognizer:
    """Darker than its own baseline; back above half of the way."""

    def judge(life: Life, tracking: Tracking) -> Judged | None:
        seen = life.last
        if _too_young(life, settings.baseline_frames) or not _whole(
            seen, tracking, settings.edge_um
        ):
            return None
        ratio = seen.intensity / life.baseline
        return ratio <= settings.factor, ratio > (1 + settings.factor) / 2

    return TrackRecognizer(settings, judge, follows=True)


def flash(settings: Flash) -> TrackRecognizer:
    """Bright at once: above ``factor`` times the baseline, and not so shortly before.

    The baseline is that of before the flash, until it has decayed to half of it.
    """
    before: dict[int, float] = {}

    def judge(life: Life, tracking: Tracking) -> Judged | None:
        seen = life.last
        if math.isnan(seen.intensity) or not life.baseline > 0:
            return None
        held_against = before.get(life.track_id, life.baseline)
        ratio = seen.intensity / held_against
        back = ratio < (1 + settings.factor) / 2
        if recognizer.told(life.track_id):
            return True, back
        if _too_young(life, settings.baseline_frames) or not _whole(
            seen, tracking, settings.edge_um
        ):
            return None
        beyond = ratio >= settings.factor and _rose(life, settings)
        if not beyond:
            before.pop(life.track_id, None)
        else:
            before.setdefault(life.track_id, life.baseline)
        return beyond, back

    recognizer = TrackRecognizer(settings, judge, forgets=lambda i: _drop(before, i))
    return recognizer


def _rose(life: Life, settings: Flash) -> bool:
    """Whether it was near its baseline at most ``rise_s`` ago."""
    half_way = life.baseline * (1 + settings.factor) / 2
    return any(
        seen.intensity < half_way and life.last.time_s - seen.time_s <= settings.rise_s
        for seen in life.trail
    )


def round_up(settings: RoundUp) -> TrackRecognizer:
    """Smaller than its own baseline, and no darker; back at half of the way."""
    areas = Baseline(settings.baseline_frames)

    def judge(life: Life, tracking: Tracking) -> Judged | None:
        seen = life.last
        if not _whole(seen, tracking, settings.edge_um) or not seen.area_um2 > 0:
            return None
        usual = areas.of(life.track_id)
        areas.add(life.track_id, seen.area_um2)
        if usual is None or _too_young(life, settings.baseline_frames):
            return None
        ratio = seen.area_um2 / usual
        bright = seen.intensity >= settings.intensity_factor * life.baseline
        return (
            ratio <= settings.area_factor and bright,
            ratio > (1 + settings.area_factor) / 2,
        )

    return TrackRecognizer(settings, judge, follows=True, forgets=areas.forget)


def speed(settings: Speed) -> TrackRecognizer:
    """Path over the last positions, over the time they took, µm per minute."""

    def judge(life: Life, _tracking: Tracking) -> Judged | None:
        value = life.speed_um_per_min(settings.over)
        if math.isnan(value):
            return None
        return settings.beyond(value), settings.back(value)

    return TrackRecognizer(settings, judge)


def displacement(settings: Displacement) -> TrackRecognizer:
    """Distance from where it was first seen, µm."""

    def judge(life: Life, _tracking: Tracking) -> Judged | None:
        x_um, y_um = life.origin_um
        value = math.hypot(life.last.x_um - x_um, life.last.y_um - y_um)
        if math.isnan(value):
            return None
        return settings.beyond(value), settings.back(value)

    return TrackRecognizer(settings, judge)


def _too_young(life: Life, frames: int) -> bool:
    # the detection of this frame is in life.frames and not in its own baseline
    return (
        life.frames <= frames
        or not life.baseline > 0
        or math.isnan(life.last.intensity)
    )


def _whole(seen: Seen, tracking: Tracking, edge_um: float) -> bool:
    inside = tracking.field_of_view.inside_um(seen.x_um, seen.y_um)
    return seen.whole and inside >= edge_um


def _drop(levels: dict[int, float], track_id: int) -> None:
    levels.pop(track_id, None)
