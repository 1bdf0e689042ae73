"""Detectors and policies that fail in every way a user's can."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import replace

import numpy as np

from smartscope.acquisition import Frame
from smartscope.recognition import Detections, detections_at
from smartscope.response import (
    Bookmark,
    Burst,
    MoveStage,
    Observation,
    SetExposure,
    SetProperty,
)


class Center:
    """Finds one thing, in the middle of the frame."""

    def detect(self, frame: Frame, /) -> Detections:
        rows, columns = frame.pixels.shape
        return detections_at(frame, np.array([[(rows - 1) / 2, (columns - 1) / 2]]))


class Fails(Center):
    """Fails on the frames from ``first`` to ``last``, in the way ``how`` says."""

    def __init__(self, how: str, first: int = 4, last: int = 6) -> None:
        self._how, self._first, self._last = how, first, last

    def detect(self, frame: Frame, /) -> Detections:
        if self._first <= frame.frame_id <= self._last:
            if self._how == "raises":
                raise RuntimeError("planted")
            if self._how == "nan":
                nowhere = np.full((1, 2), np.nan)
                return replace(super().detect(frame), centers_um=nowhere)
            if self._how == "hangs":
                threading.Event().wait()
            if self._how == "dies":
                os._exit(9)
        return super().detect(frame)


class Wishes:
    """Wishes what ``what`` says, on every frame from ``first`` on."""

    def __init__(self, what: str = "burst", first: int = 2, every: int = 4) -> None:
        self._what, self._first, self._every = what, first, every

    def decide(
        self, seen: Observation, /
    ) -> list[Burst | MoveStage | SetExposure] | list[Bookmark]:
        frame = seen.frame
        if frame.frame_id < self._first or frame.frame_id % self._every:
            return []
        if self._what == "raises":
            raise RuntimeError("planted")
        if self._what == "raises differently":
            raise RuntimeError(f"planted on frame {frame.frame_id}")
        if self._what == "hangs":
            threading.Event().wait()
        if self._what == "dies":
            os._exit(9)
        state = frame.state
        if self._what == "floods":
            return [
                Bookmark(place=frame.place, x_um=0, y_um=0, text=str(i))
                for i in range(10_000)
            ]
        if self._what == "move":
            return [
                MoveStage(place=frame.place, x_um=state.x_um + 5, y_um=state.y_um - 5)
            ]
        if self._what == "exposure":
            return [
                SetExposure(
                    place=frame.place,
                    exposure_ms=state.exposure_ms * 1.1,
                    channel=state.channel,
                )
            ]
        return [
            Burst(
                place=frame.place,
                x_um=state.x_um,
                y_um=state.y_um,
                frames=5,
                exposure_ms=2.0,
                channel="Rhodamine",
            )
        ]


class NotInAChild(Center):
    """Can be made in the process of the test and in no other."""

    def __init__(self) -> None:
        if "pytest" not in sys.modules:
            raise RuntimeError("planted")


def note(message: dict[str, object]) -> None:
    """Write what one is told into the file that the environment names."""
    with open(os.environ["NOTED"], "a", encoding="utf-8") as file:
        file.write(json.dumps(message) + "\n")


def fails(message: dict[str, object]) -> None:
    """Fail to tell anybody."""
    raise RuntimeError(f"nobody was told of {message['text']}")


def hangs(message: dict[str, object]) -> None:
    """Never come back."""
    threading.Event().wait()


class SetsAnything:
    """Wishes properties that it may not set, or not so."""

    def decide(self, seen: Observation, /) -> list[SetProperty]:
        place = seen.frame.place
        return [
            SetProperty(place=place, device=device, property="State", value=value)
            for device, value in (("Emission", 1.0), ("Path", "open"), ("Path", 7.0))
        ]
