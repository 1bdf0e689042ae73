"""The simulated camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pymmcore_plus.experimental.unicore import CameraDevice

from smartscope.simulation.devices.number_properties import NumberProperties
from smartscope.simulation.stand import Readout, Stand

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

_BINNINGS = (1, 2, 4, 8)
_BIT_DEPTHS = (8, 10, 11, 12, 14, 16)
_LONGEST_MS = 60_000.0


class Camera(NumberProperties, CameraDevice):
    """A camera with exposure, binning and region, for single frames and sequences.

    It looks at the stand at the start of each exposure, so it shows at once what was
    changed, also while a sequence runs. With autoshutter on it opens the current
    shutter for the frame or for the sequence, which the core does not do for Python
    devices. The metadata of each frame hold ``scope_time_s`` (end of its exposure on
    the run's clock) and ``exposure_number``; the core drops the metadata of single
    frames, so the properties ``ScopeTime_s`` and ``ExposureNumber`` tell those of the
    last frame.

    Parameters
    ----------
    stand : Stand
        What it looks at.
    """

    def __init__(self, stand: Stand) -> None:
        super().__init__()
        self._stand = stand
        self._exposure_ms = 10.0
        self._binning = 1
        self._bit_depth = stand.settings.sensor.bit_depth
        self._roi: tuple[int, int, int, int] | None = None
        self._last = (0.0, -1)
        self.set_property_allowed_values("Binning", _BINNINGS)
        self.register_property(
            "BitDepth",
            property_type=int,
            allowed_values=sorted({*_BIT_DEPTHS, self._bit_depth}),
            getter=type(self).get_bit_depth,
            setter=type(self).set_bit_depth,
        )
        self.register_property(
            "ScopeTime_s",
            property_type=float,
            is_read_only=True,
            getter=type(self).get_scope_time_s,
        )
        self.register_property(
            "ExposureNumber",
            property_type=int,
            is_read_only=True,
            getter=type(self).get_exposure_number,
        )

    # ---------------------------------------------------------------- settings

    def get_exposure(self) -> float:
        """Return the exposure in ms."""
        return self._exposure_ms

    def set_exposure(self, exposure: float) -> None:
        """Set the exposure in ms; a running sequence takes it for its next frame.

        Raises
        ------
        ValueError
            If it is not above 0 and at most 60 000 ms.
        """
        if not 0 < exposure <= _LONGEST_MS:
            raise ValueError(
                f"The exposure must be above 0 and at most {_LONGEST_MS:g} ms, got "
                f"{exposure} ms; it is still {self._exposure_ms:g} ms."
            )
        self._exposure_ms = float(exposure)

    def get_binning(self) -> int:
        """Return how many pixels in a row are added."""
        return self._binning

    def set_binning(self, value: int) -> None:
        """Set how many pixels in a row are added; the region becomes the whole."""
        self._binning = int(value)
        self._roi = None

    def get_readout_time(self) -> float:
        """Return what a frame takes longer than its exposure, in ms."""
        return self._stand.settings.ugliness.readout_ms

    def get_bit_depth(self) -> int:
        """Return the bits of a pixel."""
        return self._bit_depth

    def set_bit_depth(self, value: int) -> None:
        """Set the bits of a pixel: saturation is at ``2**bits - 1``."""
        self._bit_depth = int(value)

    def get_scope_time_s(self) -> float:
        """Return the end of the last exposure on the run's clock."""
        return self._last[0]

    def get_exposure_number(self) -> int:
        """Return the number of the last exposure; -1 before the first."""
        return self._last[1]

    # ---------------------------------------------------------------- region

    def _whole(self) -> tuple[int, int]:
        rows, columns = self._stand.settings.sensor.shape
        return rows // self._binning, columns // self._binning

    def shape(self) -> tuple[int, int]:
        """Return rows and columns of the images as they come."""
        return self._whole() if self._roi is None else (self._roi[3], self._roi[2])

    def dtype(self) -> DTypeLike:
        """Return uint8 up to 8 bits, else uint16."""
        return np.uint8 if self._bit_depth <= 8 else np.uint16

    def get_roi(self) -> tuple[int, int, int, int]:
        """Return the region as x, y, width, height in binned pixels."""
        rows, columns = self._whole()
        return self._roi or (0, 0, columns, rows)

    def set_roi(self, x: int, y: int, width: int, height: int) -> None:
        """Set the region in binned pixels.

        Raises
        ------
        ValueError
            If it is empty or reaches beyond the sensor; the old one stays.
        """
        rows, columns = self._whole()
        fits = x >= 0 and y >= 0 and x + width <= columns and y + height <= rows
        if not (fits and width > 0 and height > 0):
            raise ValueError(
                f"The region x={x} y={y} {width}×{height} does not lie on the sensor "
                f"of {columns}×{rows} (binned) pixels; the old one stays."
            )
        self._roi = (x, y, width, height)

    def clear_roi(self) -> None:
        """Read the whole sensor again."""
        self._roi = None

    def _readout(self) -> Readout:
        x, y, width, height = self.get_roi()
        return Readout(self._binning, y, x, (height, width), self._bit_depth)

    # ---------------------------------------------------------------- images

    def start_sequence(
        self,
        n: int | None,
        get_buffer: Callable[[Sequence[int], DTypeLike], np.ndarray[Any, Any]],
    ) -> Iterator[Mapping[str, Any]]:
        """Take ``n`` images, or images until it is stopped."""
        stand, ugly = self._stand, self._stand.settings.ugliness
        if n != 1:
            stand.wait(stand.takes(ugly.rearm_ms / 1000))
        shutter = stand.auto_shutter()
        if shutter is not None and not shutter.get_open():
            shutter.set_open(True)
            stand.wait(shutter.until)
        else:
            shutter = None
        due = 0.0
        try:
            taken = 0
            while n is None or taken < n:
                taken += 1
                if n != 1:
                    stand.z.trigger()
                due = self._take(get_buffer, 0.0 if n == 1 else ugly.readout_ms, due)
                if taken == n and shutter is not None:
                    # nobody may come for what follows the last frame
                    shutter.set_open(False)
                scope_time_s, number = self._last
                yield {"scope_time_s": scope_time_s, "exposure_number": number}
        finally:
            if shutter is not None:
                shutter.set_open(False)

    def _take(
        self,
        get_buffer: Callable[[Sequence[int], DTypeLike], np.ndarray[Any, Any]],
        readout_ms: float,
        due: float,
    ) -> float:
        """Take the image due to begin then; return when the next one is due."""
        stand, exposure_ms = self._stand, self._exposure_ms
        readout = self._readout()
        image = get_buffer(readout.shape, self.dtype())
        stand.wait(due)
        # a sequence keeps its own time, unless the image takes longer than its frame
        begin = stand.begins(due, slack_s=exposure_ms / 1000)
        # computing the image is part of the exposure
        number = stand.expose(readout, exposure_ms, readout_ms, image)
        stand.wait(stand.takes(exposure_ms / 1000, begin))
        self._last = (stand.clock.now_s(), number)
        return stand.takes(readout_ms / 1000, begin + exposure_ms / 1000)
