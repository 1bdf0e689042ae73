"""The region of the camera: what of the sensor is read, and where it lies on it.

It alone knows that the stage's position is the middle of what the camera read when the
run began, and how far the middle of another region lies from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from useq import MDAEvent

from smartscope.acquisition.event_tag import EventTag
from smartscope.acquisition.guarded_core import GuardedCore, GuardedUniCore
from smartscope.errors import LimitBroken

Rectangle = tuple[int, int, int, int]
"""Column and row of the first pixel, width and height; in (binned) sensor pixels."""

# edges that cameras can have: multiples of these
_STEPS = (1, 2, 4, 8, 16, 32, 64)


class Region:
    """Sets the region that an event asks for, and that of the survey for all others.

    Parameters
    ----------
    core : GuardedCore or GuardedUniCore
        The microscope.

    Attributes
    ----------
    offset_px : tuple of float
        Row and column of the middle of what is read, from the pixel that shows the
        stage's position.
    field_px : tuple of int or None
        Rows and columns of what the light falls on, as far as the survey reads it;
        None: all of it is read.
    """

    def __init__(self, core: GuardedCore | GuardedUniCore) -> None:
        self._core = core
        self.begin()

    def begin(self) -> None:
        """Begin a run: what the camera reads now is the whole field."""
        self.offset_px = (0.0, 0.0)
        self.field_px: tuple[int, int] | None = None
        self._stage_at: tuple[float, float] | None = None
        self._home: Rectangle | None = None
        self._home_is_whole = True
        self._set: tuple[object, ...] | None = None
        self._cropped = False

    def forget(self) -> None:
        """Believe nothing: a region that is asked for is set again."""
        self._set = None

    def apply(self, event: MDAEvent, *, setup: bool = False) -> bool:
        """Set the region an event asks for; return whether it may be another now.

        Parameters
        ----------
        event : useq.MDAEvent
            One with a ``roi`` or with ``roi_um`` in its tag asks for a region.
        setup : bool
            It is that of the whole survey.

        Raises
        ------
        LimitBroken
            If the camera cannot read that region.
        """
        roi, roi_um = event.roi, EventTag.of(event).roi_um
        if roi is None and roi_um is None:
            return self.go_home()
        self._look()
        if roi is not None:
            wanted = (roi.offset_x, roi.offset_y, roi.width, roi.height)
            if self._set == wanted:
                return False
            self._core.clearROI()
            self._core.setROI(*wanted)
            self._cropped, self._set = True, wanted
            self._take_note()
            if setup:
                self._home, self._home_is_whole = self._read(), False
                self._cropped, self.field_px = False, None
            return True
        pixel_um = float(self._core.getPixelSizeUm())
        key = ("um", roi_um, pixel_um)
        if self._set == key:
            return False
        self._crop(max(1, math.ceil(float(roi_um or 0.0) / pixel_um)))
        self._set = key
        self._take_note()
        return True

    def go_home(self) -> bool:
        """Read again what the survey reads; return whether it was another region."""
        if not self._cropped or self._home is None:
            return False
        self._core.clearROI()
        if not self._home_is_whole:
            self._core.setROI(*self._home)
        self._cropped, self._set = False, None
        self._take_note()
        return True

    def _read(self) -> Rectangle:
        x, y, width, height = self._core.getROI()
        return int(x), int(y), int(width), int(height)

    def _look(self) -> None:
        """Before the first region of a run: what is the whole, where is the stage."""
        if self._stage_at is not None:
            return
        here = self._read()
        self._home = here
        self._stage_at = _middle(here)
        self._core.clearROI()
        self._home_is_whole = self._read() == here
        if not self._home_is_whole:
            self._core.setROI(*here)

    def _take_note(self) -> None:
        row, column = _middle(self._read())
        row_0, column_0 = self._stage_at or (row, column)
        self.offset_px = (row - row_0, column - column_0)
        home = self._home
        self.field_px = (home[3], home[2]) if self._cropped and home else None

    def _crop(self, side_px: int) -> None:
        """Read a square of at least ``side_px``, as the camera's steps allow."""
        core = self._core
        core.clearROI()
        self._cropped = True
        whole = self._read()
        tried = ""
        for wanted in self._candidates(side_px, whole):
            try:
                core.setROI(*wanted)
                got = self._read()
            except Exception as e:  # noqa: BLE001 another step may be taken
                tried = str(e)
                continue
            if _holds(got, _square(side_px, self._stage_at or _middle(whole), whole)):
                if (core.getImageHeight(), core.getImageWidth()) == (got[3], got[2]):
                    return
            tried = f"it reads {got} when told {wanted}"
            core.clearROI()
        self.go_home()
        raise LimitBroken(
            f"The camera cannot read a square of {side_px} pixels: {tried}.",
            rule="A region holds at least what was asked for.",
            way_out="Choose another roi_um, or none.",
            state="The camera reads what the survey reads.",
        )

    def _candidates(self, side_px: int, whole: Rectangle) -> Iterator[Rectangle]:
        """Yield the square, with edges ever coarser."""
        x, y, width, height = _square(side_px, self._stage_at or _middle(whole), whole)
        known: set[Rectangle] = set()
        for step in _STEPS:
            left, top = x // step * step, y // step * step
            right = min(-(-(x + width) // step) * step, whole[2])
            bottom = min(-(-(y + height) // step) * step, whole[3])
            wanted = (left, top, right - left, bottom - top)
            if wanted not in known:
                known.add(wanted)
                yield wanted


def _middle(region: Rectangle) -> tuple[float, float]:
    """Return row and column of the middle of a region."""
    x, y, width, height = region
    return y + (height - 1) / 2, x + (width - 1) / 2


def _square(side_px: int, at: tuple[float, float], whole: Rectangle) -> Rectangle:
    """Return the square about a point, moved onto the sensor, cut where it must be."""
    width, height = min(side_px, whole[2]), min(side_px, whole[3])
    x = min(max(round(at[1] - (width - 1) / 2), 0), whole[2] - width)
    y = min(max(round(at[0] - (height - 1) / 2), 0), whole[3] - height)
    return x, y, width, height


def _holds(got: Rectangle, wanted: Rectangle) -> bool:
    """Whether a region contains another."""
    return (
        got[0] <= wanted[0]
        and got[1] <= wanted[1]
        and got[0] + got[2] >= wanted[0] + wanted[2]
        and got[1] + got[3] >= wanted[1] + wanted[3]
    )
