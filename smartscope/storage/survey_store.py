"""Which frames of the survey become data, where that is not all of them.

It alone decides it: every nth visit, and what a hit asks for. The others are journalled
without their pixels, wait in memory for a hit as long as there is room, and are counted
when they go. Bursts and series are always stored. Light is no matter of storage: it is
charged when it is exposed.
"""

from __future__ import annotations

import contextlib
import threading
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from smartscope.acquisition import EventTag, Frame, History
from smartscope.errors import BrokenOff
from smartscope.storage.settings import StorageSettings

if TYPE_CHECKING:
    from smartscope.response import KeepFrames, OutcomeStatus
    from smartscope.storage.journal import Journal
    from smartscope.storage.recorder import Recorder
    from smartscope.storage.writer import Index
    from smartscope.telemetry import Telemetry

_REMEMBERED = 64  # visits beyond those that wait, by which a hit may be dated
_SPANS = 64  # of each place


@dataclass(slots=True)
class _Place:
    """What is known of a place.

    ``round`` and ``visit`` are of its last frame; a visit is what the survey takes at
    a place in one round, counted from 0. ``begins`` holds id and time in s of the first
    frame of each visit, ``spans`` the visits that hits have asked for, first and last.
    """

    begins: deque[tuple[int, float, int]]
    round: int = -1
    visit: int = -1
    spans: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_SPANS))

    def of(self, frame: Frame, round_: int) -> int:
        """Return the visit of a new frame."""
        if round_ != self.round:
            self.round = round_
            self.visit += 1
            self.begins.append((frame.frame_id, frame.time_s, self.visit))
        return self.visit

    def at(self, frame_id: int, onset_s: float | None) -> tuple[int, int]:
        """Return the visits of an onset and of the frame in which it was seen.

        Each is the last that had begun by then, or the first that is remembered.
        """
        begins = list(self.begins)
        k = bisect_right(begins, frame_id, key=lambda begin: begin[0])
        seen = begins[max(0, k - 1)][2]
        if onset_s is None:
            return seen, seen
        k = bisect_right(begins, onset_s, key=lambda begin: begin[1])
        return min(begins[max(0, k - 1)][2], seen), seen

    def want(self, first: int, last: int) -> None:
        """Note that visits were asked for."""
        if first > last:
            return
        if self.spans and self.spans[-1][0] <= first <= self.spans[-1][1] + 1:
            before = self.spans.pop()
            first, last = before[0], max(last, before[1])
        self.spans.append((first, last))


class SurveyStore:
    """Stores what is asked for of the survey, and keeps the rest for a while.

    Frames come in the runner's thread, hits in the analyst's.

    Parameters
    ----------
    recorder : Recorder
        Stores, and journals what is not stored.
    settings : StorageSettings
        What is stored, and how much may wait.
    telemetry : Telemetry
        Gets ``frames_unstored`` (given up for good), ``frames_kept`` (stored because of
        a hit), ``baseline_visits_missing`` (asked for by a hit and gone already) and
        ``history_full`` (frames that went for want of memory).
    journal : Journal
        Gets a line of kind ``kept`` for each hit.
    """

    def __init__(
        self,
        recorder: Recorder,
        settings: StorageSettings,
        telemetry: Telemetry,
        journal: Journal,
    ) -> None:
        self._recorder = recorder
        self._telemetry = telemetry
        self._journal = journal
        self._nth = settings.nth
        self._all = self._nth == 1
        self._history = History(settings.history_frames, settings.history_mb)
        self._remembered = settings.history_frames + _REMEMBERED
        self._places: dict[str, _Place] = {}
        self._lock = threading.Lock()
        self._closed = False

    # ------------------------------------------------------------- runner's thread

    def append(self, frame: Frame, *, image: str, index: Index) -> None:
        """Take a frame: store it now, or let it wait for a hit.

        Waits for a disk that is behind, as ``Recorder.append`` does.

        Raises
        ------
        smartscope.errors.BrokenOff
            As ``Recorder.append`` does.
        """
        visit = -1
        if frame.origin == "survey":
            with self._lock:
                place = self._place(frame.place)
                visit = place.of(frame, index[0])
                wanted = self._is_wanted(place, visit)
                hit = wanted and not self._by_plan(visit)
        else:
            wanted, hit = True, False
        if not wanted:
            self._recorder.pass_over(frame, image=image, index=index)
            with self._lock:
                # a hit may have come meanwhile
                wanted = hit = self._is_wanted(place, visit)
                if not wanted:
                    full = self._history.pressed
                    self._given_up(self._history.put(frame, visit))
                    if more := self._history.pressed - full:
                        self._telemetry.count("history_full", more)
                    return
        self._recorder.append(frame, image=image, index=index)
        if hit:
            self._telemetry.count("frames_kept")

    def _place(self, name: str) -> _Place:
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = _Place(deque(maxlen=self._remembered))
        return place

    def _by_plan(self, visit: int) -> bool:
        return self._all or (self._nth > 0 and visit % self._nth == 0)

    def _is_wanted(self, place: _Place, visit: int) -> bool:
        return self._by_plan(visit) or any(
            first <= visit <= last for first, last in place.spans
        )

    def _given_up(self, frames: int) -> None:
        if frames:
            self._telemetry.count("frames_unstored", frames)

    # ------------------------------------------------------------- analyst's thread

    def keep(self, frame_id: int, action: KeepFrames) -> tuple[OutcomeStatus, str]:
        """Store the visits about a hit; returns at once.

        Parameters
        ----------
        frame_id : int
            The frame in which the hit was seen.
        action : KeepFrames
            How many visits before its onset and after it was seen.

        Returns
        -------
        tuple
            Status and reason of the outcome.
        """
        with self._lock:
            if self._all:
                return "done", "every frame is stored"
            place = self._places.get(action.place)
            if self._closed or place is None or place.visit < 0:
                return "refused", f"no frames of {action.place} wait for a hit"
            began, seen = place.at(frame_id, action.onset_s)
            first, last = max(0, began - action.before), seen + action.after
            gone = self._history.gone(action.place)
            lost = sum(
                not self._is_wanted(place, early)
                for early in range(first, min(seen, gone) + 1)
            )
            place.want(max(first, gone + 1), last)
            frames = self._history.take(action.place, first, last)
            try:
                self._store(frames, action.place, frame_id)
            except BrokenOff as e:
                return "failed", e.what
        if lost:
            self._telemetry.count("baseline_visits_missing", lost)
        told = f"{len(frames)} frames that waited are stored, and the next"
        told += f" {action.after} visits" if action.after else " of this visit"
        if lost:
            told += f"; of {lost} visits before, frames had gone from memory"
        return "done", told

    def keep_all(self, why: str) -> str:
        """Store everything from now on, and all that waits.

        For when nobody looks for hits any more: without it all would be given up.

        Parameters
        ----------
        why : str
            For the journal.

        Returns
        -------
        str
            What the user is told; ``""`` if nothing has changed.
        """
        with self._lock:
            if self._all or self._closed:
                return ""
            self._all = True
            frames = self._history.take_all()
            # a disk that fails is told by the next frame
            with contextlib.suppress(BrokenOff):
                self._store(frames, "", -1, why)
        return (
            f"Every frame is stored from now on, and {len(frames)} that waited for a "
            f"hit: {why}, so no hit would be seen."
        )

    def _store(
        self, frames: list[Frame], place: str, frame_id: int, why: str = "a hit"
    ) -> None:
        # before the pixels: what a kill then takes away was wanted, and is called lost
        self._journal.write(
            {
                "kind": "kept",
                "place": place,
                "seen_in": frame_id,
                "why": why,
                "frame_ids": [frame.frame_id for frame in frames],
            }
        )
        for frame in frames:
            tag = EventTag.of(frame.event)
            self._recorder.append(frame, image=tag.image, index=tag.index, late=True)
        if frames:
            self._telemetry.count("frames_kept", len(frames))

    # ------------------------------------------------------------- the end

    def close(self) -> None:
        """Give up what still waits: no hit will come any more; may be called again."""
        with self._lock:
            self._closed = True
            self._given_up(len(self._history.take_all()))
