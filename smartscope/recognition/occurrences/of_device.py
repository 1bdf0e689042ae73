"""The microscope itself: whether it holds the focus, and what its devices say."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from smartscope.recognition.device_kinds import (
    AutofocusUnlocked,
    DeviceKind,
    FocusTrend,
    Property,
)
from smartscope.recognition.occurrence_base import CountedBase
from smartscope.recognition.occurrences.condition import Condition
from smartscope.recognition.occurrences.of_scene import SceneRecognizer
from smartscope.recognition.occurrences.of_track import Judged
from smartscope.recognition.occurrences.sighting import Sighting
from smartscope.recognition.scene import Scene
from smartscope.recognition.tracker import Tracking

# a focus that was moved by more begins a new trend
_MOVED_UM = 0.01


class DeviceRecognizer(SceneRecognizer):
    """Says so when the microscope meets a condition in n of its last m looks.

    The confidence is the share of the looks taken into account that show it; where on
    the stage is the middle of the field.

    Parameters
    ----------
    settings : CountedBase
        How many of how many.
    judge : Callable
        Returns whether a look is beyond the bound and whether it has come back; None if
        it tells nothing.
    key_of : Callable
        What looks are counted together.
    """

    def __init__(
        self,
        settings: CountedBase,
        judge: Callable[[Hashable, Scene], Judged | None],
        key_of: Callable[[Tracking, Scene], Hashable],
    ) -> None:
        super().__init__(Condition(settings))
        self._judge = judge
        self._key_of = key_of

    def look(self, tracking: Tracking) -> list[Sighting]:
        """Return a sighting if it is so from this frame on."""
        scene = tracking.scene
        assert scene is not None  # the tracker gives one with every frame
        key = self._key_of(tracking, scene)
        judged = self._judge(key, scene)
        return self.counted(key, tracking, judged)


def of_device(settings: DeviceKind) -> DeviceRecognizer:
    """Return what looks for one kind."""
    match settings:
        case AutofocusUnlocked():
            return DeviceRecognizer(
                settings,
                lambda _key, scene: _unlocked(settings, scene),
                lambda tracking, _scene: tracking.place,
            )
        case Property():
            # a device is the same at every place
            return DeviceRecognizer(
                settings,
                lambda _key, scene: _bounded(settings, scene),
                lambda _tracking, _scene: settings.reading(),
            )
        case FocusTrend():
            return DeviceRecognizer(
                settings,
                _Trend(settings).judge,
                lambda tracking, scene: (tracking.place, scene.channel, scene.plane),
            )


def _unlocked(settings: AutofocusUnlocked, scene: Scene) -> Judged | None:
    locked = scene.measured.get(settings.reading())
    return None if locked is None else (locked < 0.5, locked >= 0.5)


def _bounded(settings: Property, scene: Scene) -> Judged | None:
    value = scene.measured.get(settings.reading())
    if value is None:
        return None
    return settings.beyond(value), settings.back(value)


class _Trend:
    """The sharpness of each place, look by look, since its focus was last moved."""

    def __init__(self, settings: FocusTrend) -> None:
        self._settings = settings
        self._looks: dict[Hashable, deque[float]] = {}
        self._z_um: dict[Hashable, float] = {}

    def judge(self, key: Hashable, scene: Scene) -> Judged | None:
        """Return whether the sharpness falls, None while there are too few looks."""
        if scene.is_part:
            return None  # a part cannot be held against the whole
        looks = self._looks.setdefault(key, deque(maxlen=self._settings.looks))
        if abs(scene.z_um - self._z_um.get(key, scene.z_um)) > _MOVED_UM:
            looks.clear()
        self._z_um[key] = scene.z_um
        value = scene.sharpness
        if math.isnan(value):
            return None
        looks.append(value)
        if len(looks) < self._settings.looks:
            # moved, or new: what was told may be told again
            return False, True
        fall, error = falls(looks)
        beyond = fall >= max(self._settings.fall, self._settings.sigmas * error)
        return beyond, fall < self._settings.fall / 2


def falls(looks: Sequence[float]) -> tuple[float, float]:
    """Return by what share the line through some values falls, and its standard error.

    The least-squares line over the number of the look; both are shares of where the
    line begins. A line that begins at 0 or below does not fall.
    """
    values = np.asarray(looks)
    n = len(values)
    steps = np.arange(n) - (n - 1) / 2
    squares = float((steps**2).sum())
    slope = float((steps * values).sum()) / squares
    begins = float(values.mean()) + slope * float(steps[0])
    if not begins > 0:
        return 0.0, 0.0
    left = values - values.mean() - slope * steps
    error = math.sqrt(float((left**2).sum()) / (n - 2) / squares)
    return -slope * (n - 1) / begins, error * (n - 1) / begins
