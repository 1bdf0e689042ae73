"""Frames that wait in memory for a hit: the newest of each place, within bounds.

It alone knows which frames are given up when there is no room. It knows no clock, no
disk and no thread: whoever holds it holds a lock.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from smartscope.acquisition.frame import Frame


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    frame: Frame
    visit: int


class History:
    """The last frames of each place.

    Parameters
    ----------
    frames : int
        Of each place, at most; beyond it the oldest of the place goes.
    mb : float
        Pixels of all places together, in MB of 10^6 bytes; beyond it the oldest of all
        goes, whatever its place.

    Attributes
    ----------
    aged : int
        Frames that went because their place had newer ones.
    pressed : int
        Frames that went because the memory was full.

    Raises
    ------
    ValueError
        If a bound is not above 0.
    """

    def __init__(self, frames: int, mb: float) -> None:
        if frames < 1 or not mb > 0:
            raise ValueError(
                f"A history holds at least one frame, got {frames} of {mb} MB"
            )
        self._frames = frames
        self._limit = mb * 1e6
        self._all: OrderedDict[int, _Waiting] = OrderedDict()
        self._places: dict[str, deque[_Waiting]] = {}
        self._gone: dict[str, int] = {}
        self._bytes = 0
        self.aged = 0
        self.pressed = 0

    def __len__(self) -> int:
        return len(self._all)

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels that wait."""
        return self._bytes

    def gone(self, place: str) -> int:
        """Return the newest visit of a place of which a frame has gone; -1: none."""
        return self._gone.get(place, -1)

    def put(self, frame: Frame, visit: int) -> int:
        """Take a frame by reference; frames without room go.

        Parameters
        ----------
        frame : Frame
            Newer than all that wait.
        visit : int
            Which visit to its place it is of; never less than that of an earlier frame.

        Returns
        -------
        int
            How many have gone, the new one included if it alone is too large.
        """
        waiting = _Waiting(frame, visit)
        self._all[frame.frame_id] = waiting
        of_place = self._places.setdefault(frame.place, deque())
        of_place.append(waiting)
        self._bytes += frame.pixels.nbytes
        before = self.aged + self.pressed
        while len(of_place) > self._frames:
            self._give_up(of_place[0])
            self.aged += 1
        while self._bytes > self._limit:
            self._give_up(next(iter(self._all.values())))
            self.pressed += 1
        return self.aged + self.pressed - before

    def _give_up(self, oldest: _Waiting) -> None:
        # the oldest of all is the oldest of its place too
        place = oldest.frame.place
        self._places[place].popleft()
        del self._all[oldest.frame.frame_id]
        self._bytes -= oldest.frame.pixels.nbytes
        self._gone[place] = oldest.visit

    def take(self, place: str, first: int, last: int) -> list[Frame]:
        """Take out the frames of some visits to a place, the oldest first.

        Parameters
        ----------
        place : str
            Theirs.
        first, last : int
            Visits, both included.
        """
        waiting = self._places.get(place, deque())
        taken = [w for w in waiting if first <= w.visit <= last]
        self._places[place] = deque(w for w in waiting if not first <= w.visit <= last)
        for one in taken:
            del self._all[one.frame.frame_id]
            self._bytes -= one.frame.pixels.nbytes
        return [one.frame for one in taken]

    def take_all(self) -> list[Frame]:
        """Take out every frame, the oldest first."""
        taken = [waiting.frame for waiting in self._all.values()]
        self._all.clear()
        self._places.clear()
        self._bytes = 0
        return taken
