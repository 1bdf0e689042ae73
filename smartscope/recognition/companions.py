"""The two channels of a ratio: what was taken of them in the same visit."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

from smartscope.acquisition import Frame
from smartscope.recognition.feature_kinds import RatioSettings
from smartscope.recognition.gather import MOST_PLACES, Key, Plane, slot_of, visit_of
from smartscope.recognition.shapes import Pair

_SAME_PX = 1.0  # planes of a pair lie on each other


@dataclass(slots=True)
class _Visit:
    """What one visit of a place has shown so far.

    By slot (0 numerator, 1 denominator) the pixels and the light ordered for them.
    """

    key: Key
    at_um: tuple[float, float]
    planes: dict[int, tuple[Plane, float]] = field(default_factory=dict)


class Companions:
    """Keeps the channels of a ratio until the things of their visit are measured.

    Nobody waits for a channel: a frame is measured with what its visit has shown until
    then, so the other channel is taken before it. Pixels are copied.

    Parameters
    ----------
    settings : RatioSettings
        Which channels.
    """

    def __init__(self, settings: RatioSettings) -> None:
        self._channels = settings.channels
        self._visits: OrderedDict[Key, _Visit] = OrderedDict()

    def take(self, frame: Frame) -> Pair | None:
        """Take a frame in; return both channels if its visit has shown them.

        Parameters
        ----------
        frame : Frame
            Of either channel, or of any other that is looked at.
        """
        slot = slot_of(self._channels, frame.state.channel, frame.camera)
        by_camera = slot is not None and frame.camera in self._channels
        place: Key = (frame.place, frame.event.index.get("z", 0), frame.origin)
        visit = visit_of(
            frame.event.index, cameras=by_camera, decision_id=frame.decision_id
        )
        state = frame.state
        at_um = (state.x_um, state.y_um)
        known = self._visits.get(place)
        if (
            known is None
            or known.key != visit
            or math.dist(at_um, known.at_um) > _SAME_PX * state.pixel_size_um
        ):
            known = self._visits[place] = _Visit(visit, at_um)
        self._visits.move_to_end(place)
        if slot is not None:
            light = state.exposure_ms * state.power_percent / 100
            known.planes[slot] = (frame.pixels.copy(), light)
        if len(self._visits) > MOST_PLACES:
            self._visits.popitem(last=False)
        if len(known.planes) < len(self._channels):
            return None
        (upper, upper_light), (lower, lower_light) = known.planes[0], known.planes[1]
        if not upper.shape == lower.shape == frame.pixels.shape:
            return None
        return Pair(upper, lower, (upper_light, lower_light))
