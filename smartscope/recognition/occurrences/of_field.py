"""The field of a place as a whole: how much, how full, how bright, how sharp."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from smartscope.recognition.field_kinds import (
    Confluence,
    Count,
    Dropout,
    FieldChange,
    FieldKind,
    FocusLost,
    Overrun,
    Saturation,
)
from smartscope.recognition.occurrence_base import CountedBase
from smartscope.recognition.occurrences.condition import Baseline, Condition
from smartscope.recognition.occurrences.of_scene import SceneRecognizer
from smartscope.recognition.occurrences.of_track import Judged
from smartscope.recognition.occurrences.sighting import Sighting
from smartscope.recognition.scene import Scene
from smartscope.recognition.tracker import Tracking

Key = tuple[str, str]
_REMEMBERED = 5  # fields that the running median of a place is of


class FieldRecognizer(SceneRecognizer):
    """Says so when the field of a place meets a condition in n of its last m frames.

    Each place and channel is held against itself. The confidence is the share of the
    looks taken into account that show it; where on the stage is the middle of the
    field.
    """

    def __init__(
        self,
        settings: CountedBase,
        judge: Callable[[Key, Scene, Tracking], Judged | None],
        *,
        follows: bool = False,
    ) -> None:
        super().__init__(Condition(settings, follows=follows))
        self._judge = judge

    def look(self, tracking: Tracking) -> list[Sighting]:
        """Return a sighting if the field meets it from this frame on."""
        scene = tracking.scene
        assert scene is not None  # the tracker gives one with every frame
        if scene.is_part:
            return []  # a part cannot be held against the whole
        key = (tracking.place, scene.channel)
        judged = self._judge(key, scene, tracking)
        return self.counted(key, tracking, judged)


def of_field(settings: FieldKind) -> FieldRecognizer:
    """Return what looks for one kind."""
    match settings:
        case Count():
            return _bounded(settings, lambda s: float(s.count(settings.of_class)))
        case Confluence():
            return _bounded(settings, lambda s: s.confluence)
        case Saturation():
            return _bounded(settings, lambda s: s.saturated)
        case Dropout():
            offset = settings.offset_counts
            return _below_baseline(settings, lambda s: _lit(s, offset))
        case FocusLost():
            return _below_baseline(settings, lambda s: s.sharpness)
        case FieldChange():
            return _changed(settings)
        case Overrun():
            return _overrun(settings)


def _bounded(
    settings: Count | Confluence | Saturation, value_of: Callable[[Scene], float]
) -> FieldRecognizer:
    def judge(_key: Key, scene: Scene, _tracking: Tracking) -> Judged:
        value = value_of(scene)
        return settings.beyond(value), settings.back(value)

    return FieldRecognizer(settings, judge)


def _lit(scene: Scene, offset: float) -> float:
    return (scene.mean - offset) / scene.light if scene.light > 0 else math.nan


def _below_baseline(
    settings: Dropout | FocusLost, value_of: Callable[[Scene], float]
) -> FieldRecognizer:
    """Below a share of the baseline, which takes in only what is not below it."""
    usual, factor = Baseline(settings.baseline_frames), settings.factor

    def judge(key: Key, scene: Scene, _tracking: Tracking) -> Judged | None:
        value = value_of(scene)
        baseline = usual.of(key)
        lost = math.isnan(value)
        if baseline is None or not baseline > 0:
            if not lost:
                usual.add(key, value)
            return None
        beyond = lost or value < factor * baseline
        if not beyond:
            usual.add(key, value)
        return beyond, not lost and value >= (1 + factor) / 2 * baseline

    return FieldRecognizer(settings, judge)


def _changed(settings: FieldChange) -> FieldRecognizer:
    """Blocks of the field against the running median of the last five fields."""
    remembered: dict[Key, deque[npt.NDArray[np.float32]]] = {}

    def judge(key: Key, scene: Scene, _tracking: Tracking) -> Judged | None:
        past = remembered.setdefault(key, deque(maxlen=_REMEMBERED))
        blocks = scene.blocks
        if past and past[0].shape != blocks.shape:
            past.clear()
        judged = None
        if len(past) >= min(settings.baseline_frames, _REMEMBERED):
            usual = np.median(np.stack(past), axis=0)
            bright = float(usual.mean())
            if bright > 0:
                share = float(np.abs(blocks - usual).mean()) / bright
                judged = share > settings.share, share <= 0.9 * settings.share
        past.append(blocks)
        return judged

    return FieldRecognizer(settings, judge, follows=True)


def _overrun(settings: Overrun) -> FieldRecognizer:
    last: dict[Key, float] = {}

    def judge(key: Key, _scene: Scene, tracking: Tracking) -> Judged | None:
        before, last[key] = last.get(key), tracking.time_s
        if before is None:
            return None
        late = tracking.time_s - before > settings.longer_than_s
        return late, not late

    return FieldRecognizer(settings, judge)
