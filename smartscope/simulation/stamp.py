"""What the devices really did, written into corner pixels of a frame, for the tests.

The block of 2 × 16 pixels in the first rows and columns holds 28 bytes, one in a pixel:
that survives 8 bits, any region of 16 × 16 pixels and a lossless store.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_FORMAT = struct.Struct("<BBBBIfiii")
_MAGIC = 0xA7
_BYTES = _FORMAT.size + 4
NO_CHANNEL = 255


@dataclass(frozen=True, slots=True)
class Stamp:
    """What the devices really did in one exposure.

    Attributes
    ----------
    channel : int
        Number of the preset the filters stood at, in the order of ``CHANNELS``; 255
        if they stood at none.
    exposure_ms : float
        Exposure (float32).
    x_um, y_um, z_um : float
        Where the stages really were when the exposure began, to the nanometre.
    exposure_number : int
        Number of the exposure since the devices were loaded.
    light_on : bool
        Whether light reached the specimen.
    """

    channel: int
    exposure_ms: float
    x_um: float
    y_um: float
    z_um: float
    exposure_number: int
    light_on: bool


def write_stamp(pixels: npt.NDArray[Any], stamp: Stamp) -> None:
    """Overwrite the corner of ``pixels``, shape ``(Y, X)`` of at least 16 × 16.

    Raises
    ------
    ValueError
        If the frame is smaller.
    """
    if pixels.shape[0] < 2 or pixels.shape[1] < 16:
        raise ValueError(f"A stamp needs 16 × 16 pixels, got {pixels.shape}")
    body = _FORMAT.pack(
        _MAGIC,
        stamp.channel,
        int(stamp.light_on),
        0,
        stamp.exposure_number,
        stamp.exposure_ms,
        *(round(v * 1000) for v in (stamp.x_um, stamp.y_um, stamp.z_um)),
    )
    code = body + struct.pack("<I", zlib.crc32(body))
    block = np.zeros(32, np.uint8)
    block[:_BYTES] = np.frombuffer(code, np.uint8)
    pixels[:2, :16] = block.reshape(2, 16)


def read_stamp(pixels: npt.NDArray[Any]) -> Stamp:
    """Read the stamp of a frame.

    Raises
    ------
    ValueError
        If the frame has no stamp or it was damaged.
    """
    code = np.asarray(pixels[:2, :16]).ravel()[:_BYTES]
    if code.size < _BYTES or code.max() > 255:
        raise ValueError("The frame has no stamp; set sensor.stamp = true.")
    data = code.astype(np.uint8).tobytes()
    body, (check,) = data[: _FORMAT.size], struct.unpack("<I", data[_FORMAT.size :])
    if body[0] != _MAGIC or zlib.crc32(body) != check:
        raise ValueError("The frame has no stamp, or its pixels were changed.")
    _, channel, light, _, number, exposure_ms, x, y, z = _FORMAT.unpack(body)
    return Stamp(
        channel, exposure_ms, x / 1000, y / 1000, z / 1000, number, bool(light)
    )
