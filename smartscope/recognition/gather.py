"""Frames that a model looks at together: channels of one visit, the last few visits.

It alone knows when a model has all it looks at. Whoever asks may overwrite the pixels
of a frame after the answer, so what is kept is copied, once, and nothing else is.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from smartscope.acquisition import Frame
from smartscope.inference import Planes

Plane = npt.NDArray[Any]
Key = tuple[object, ...]

MOST_PLACES = 512
MOST_BYTES = 4 * 2**30
# frames of a window lie on each other; a stage that was sent elsewhere parts them
_SAME_PX = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """What a frame completes.

    Attributes
    ----------
    planes : Planes or None
        What the model looks at now; None while the set waits for other frames.
    waits_for : tuple of str
        Channels that the set still lacks.
    window : str
        While there are fewer moments than the model looks at, such as ``"2 of 4"``.
    remarks : tuple of str
        Losses, in words.
    incomplete : int
        Sets that were given up.
    """

    planes: Planes | None
    waits_for: tuple[str, ...] = ()
    window: str = ""
    remarks: tuple[str, ...] = ()
    incomplete: int = 0


@dataclass(slots=True, eq=False)
class _Place:
    """What is kept of one place: the set that waits, and complete sets before it."""

    name: str
    past: deque[tuple[Plane, ...]]
    kind: tuple[object, ...] = ()
    at_um: tuple[float, float] = (0.0, 0.0)
    visit: Key = ()
    waiting: dict[int, Plane] = field(default_factory=dict)
    frame_ids: list[int] = field(default_factory=list)

    @property
    def planes(self) -> int:
        return len(self.waiting) + sum(map(len, self.past))

    @property
    def nbytes(self) -> int:
        held = [*self.waiting.values(), *(p for planes in self.past for p in planes)]
        return sum(p.nbytes for p in held)


class Gathering:
    """Collects sets and windows of frames, place by place.

    A set is one frame of each channel from one visit: the same ``event.index`` but for
    ``c``, or of one moment where channels are cameras. A window is the last sets of a
    place, the oldest first; the planes of a z stack are places of their own, and so are
    those of a burst. It begins anew where the stage was sent elsewhere by more than a
    pixel, and where size, dtype or pixel size of the frames change.

    Parameters
    ----------
    channels : tuple of str
        Presets or cameras in the order of the model; fewer than two: each frame is a
        set of its own.
    window : int
        Sets in a window.
    most_places : int
        So many places are kept; the one that was seen longest ago goes.
    most_bytes : int
        So much is kept, but for what the present place needs.
    """

    def __init__(
        self,
        channels: tuple[str, ...] = (),
        window: int = 1,
        *,
        most_places: int = MOST_PLACES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.channels = channels
        self.window = window
        self._several = len(channels) > 1
        self._most_places = most_places
        self._most_bytes = most_bytes
        self._places: OrderedDict[Key, _Place] = OrderedDict()
        self._bytes = 0
        self._told_forgotten = False

    @staticmethod
    def most_places_of(nbytes: int) -> int:
        """Return how many places of so many bytes each are kept by default."""
        return min(MOST_PLACES, MOST_BYTES // max(1, nbytes))

    @property
    def planes_held(self) -> int:
        """Copied planes that are kept now."""
        return sum(place.planes for place in self._places.values())

    def take(self, frame: Frame) -> Gathered:
        """Take a frame in and say what the model can look at.

        Raises
        ------
        ValueError
            If its channel is none of those that are gathered.
        """
        slot = slot_of(self.channels, frame.state.channel, frame.camera)
        if slot is None:
            raise ValueError(
                f"A frame of '{frame.state.channel}' ({frame.camera}) is none of "
                f"{', '.join(self.channels)}"
            )
        named = self.channels or (frame.state.channel,)
        if not self._several and self.window == 1:
            return Gathered(Planes((frame.pixels,), named, frame.state.pixel_size_um))
        place = self._place(frame)
        before = place.nbytes
        remarks, incomplete = self._begin_set(place, frame, slot)
        lacking = tuple(
            name
            for i, name in enumerate(self.channels)
            if self._several and i != slot and i not in place.waiting
        )
        if lacking:
            place.waiting[slot] = frame.pixels.copy()
            place.frame_ids.append(frame.frame_id)
            planes, window = None, ""
        else:
            planes, window = self._complete(place, frame, slot, named)
        self._bytes += place.nbytes - before
        told, lost = self._forget()
        return Gathered(planes, lacking, window, (*remarks, *told), incomplete + lost)

    def _place(self, frame: Frame) -> _Place:
        """Return what is kept of the frame's place, as the one seen last."""
        by_camera = frame.camera in self.channels
        key: Key = (
            frame.place,
            frame.event.index.get("z", 0),
            frame.origin,
            "" if self._several and not by_camera else frame.state.channel,
            "" if self._several else frame.camera,
        )
        if key not in self._places:
            past: deque[tuple[Plane, ...]] = deque(maxlen=self.window - 1)
            self._places[key] = _Place(frame.place, past)
        self._places.move_to_end(key)
        return self._places[key]

    def _begin_set(
        self, place: _Place, frame: Frame, slot: int
    ) -> tuple[tuple[str, ...], int]:
        """Give up what does not belong to the frame; return what is told of it."""
        visit = visit_of(
            frame.event.index,
            cameras=frame.camera in self.channels,
            decision_id=frame.decision_id,
        )
        kind = (frame.pixels.shape, frame.pixels.dtype, frame.state.pixel_size_um)
        at_um = (frame.state.x_um, frame.state.y_um)
        other = visit != place.visit or kind != place.kind
        told: tuple[tuple[str, ...], int] = (), 0
        if place.waiting and (other or slot in place.waiting):
            told = (self._given_up(place),), 1
            place.waiting.clear()
            place.frame_ids.clear()
        parted = (
            kind != place.kind
            or math.dist(at_um, place.at_um) > _SAME_PX * frame.state.pixel_size_um
            or frame.decision_id != (place.visit[-1] if place.visit else "")
        )
        if parted:
            place.past.clear()
        place.visit, place.kind, place.at_um = visit, kind, at_um
        return told

    def _given_up(self, place: _Place) -> str:
        lacking = [n for i, n in enumerate(self.channels) if i not in place.waiting]
        ids = ", ".join(map(str, place.frame_ids))
        return (
            f"A set of {place.name} stays incomplete: no frame of "
            f"{', '.join(lacking)} came (frame {ids} is left out)."
        )

    def _complete(
        self, place: _Place, frame: Frame, slot: int, named: tuple[str, ...]
    ) -> tuple[Planes, str]:
        """Return what the model looks at, and keep what it will look at later."""
        kept = place.waiting
        place.waiting, place.frame_ids = {}, []
        kept[slot] = frame.pixels
        newest = tuple(kept[i] for i in range(len(kept)))
        sets = [*place.past, newest]
        lacking = self.window - len(sets)
        sets = [sets[0]] * lacking + sets
        planes = Planes(
            tuple(each[i] for i in range(len(newest)) for each in sets),
            named,
            frame.state.pixel_size_um,
        )
        if self.window > 1:
            kept[slot] = frame.pixels.copy()
            place.past.append(tuple(kept[i] for i in range(len(newest))))
        window = f"{self.window - lacking} of {self.window}" if lacking else ""
        return planes, window

    def _forget(self) -> tuple[tuple[str, ...], int]:
        """Keep within the bounds; the place that was seen longest ago goes first."""
        lost = 0
        told: tuple[str, ...] = ()
        while len(self._places) > 1 and (
            len(self._places) > self._most_places or self._bytes > self._most_bytes
        ):
            _, gone = self._places.popitem(last=False)
            self._bytes -= gone.nbytes
            lost += bool(gone.waiting)
            if not self._told_forgotten and gone.planes:
                self._told_forgotten = True
                told = (
                    f"What was gathered at {gone.name} is forgotten, and so on: more "
                    f"than {self._most_places} places or "
                    f"{self._most_bytes / 2**30:.3g} GiB are not kept.",
                )
        return told, lost


def slot_of(channels: tuple[str, ...], preset: str, camera: str) -> int | None:
    """Return which of some channels a frame is, None if it is none.

    Parameters
    ----------
    channels : tuple of str
        Presets or cameras; without any each frame is the only one.
    preset, camera : str
        Of the frame; the camera's name goes first.
    """
    if not channels:
        return 0
    for name in (camera, preset):
        if name in channels:
            return channels.index(name)
    return None


def visit_of(index: Mapping[str, int], *, cameras: bool, decision_id: str = "") -> Key:
    """Return what frames of one set have in common.

    Parameters
    ----------
    index : Mapping
        Of the event.
    cameras : bool
        The channels are cameras, which see the same event; presets are not.
    decision_id : str
        Of a burst.
    """
    own = sorted(item for item in index.items() if cameras or item[0] != "c")
    return (*own, decision_id)
