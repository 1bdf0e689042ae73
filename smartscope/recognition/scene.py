"""What a frame shows as a whole; measured when somebody asks, and then once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import Frame, sharpness
from smartscope.recognition.detections import Detections

BLOCK = 16


class Scene:
    """The whole field of one frame.

    Parameters
    ----------
    frame : Frame
        With its raw pixels, which are read only while the frame is looked at.
    detections : Detections
        Things in it.
    """

    def __init__(self, frame: Frame, detections: Detections) -> None:
        self._frame = frame
        self._detections = detections

    @property
    def detections(self) -> Detections:
        """Things in it."""
        return self._detections

    @property
    def channel(self) -> str:
        """Preset it was taken with."""
        return self._frame.state.channel

    @property
    def position_um(self) -> tuple[float, float]:
        """Stage x, y of the middle of the field."""
        return self._frame.state.x_um, self._frame.state.y_um

    @property
    def is_part(self) -> bool:
        """Whether it is a region of the camera and not all that the survey sees."""
        return self._frame.state.field_px is not None

    @property
    def light(self) -> float:
        """Light ordered for it, exposure in ms × power as a share of full."""
        state = self._frame.state
        return state.exposure_ms * state.power_percent / 100.0

    def count(self, of_class: str | None = None) -> int:
        """Return how many things it shows, of one class or in all."""
        found = self._detections
        if of_class is None:
            return len(found)
        if of_class not in found.class_names:
            return 0
        index = found.class_names.index(of_class)
        return int((found.class_id == index).sum())

    @property
    def confluence(self) -> float:
        """Share of the field that things cover, 0 to 1."""
        found = self._detections
        pixels = self._frame.pixels.size
        if found.labels is not None:
            return float((found.labels > 0).sum()) / pixels
        return min(1.0, float(found.area_px.sum()) / pixels)

    @cached_property
    def saturated(self) -> float:
        """Share of the pixels at the camera's largest count."""
        full = 2**self._frame.bit_depth - 1
        pixels = self._frame.pixels
        return float((pixels >= full).sum()) / pixels.size

    @cached_property
    def mean(self) -> float:
        """Mean count."""
        return float(self._frame.pixels.mean(dtype=np.float64))

    @cached_property
    def sharpness(self) -> float:
        """Brenner gradient over the variance, both less the noise; NaN: only noise."""
        return sharpness(self._frame.pixels)

    @property
    def measured(self) -> Mapping[str, float]:
        """What was read of stages and devices with this frame."""
        return self._frame.state.measured

    @property
    def z_um(self) -> float:
        """Focus it was taken at."""
        return self._frame.state.z_um

    @property
    def plane(self) -> int:
        """Which plane of its stack it is."""
        return self._frame.event.index.get("z", 0)

    @cached_property
    def blocks(self) -> npt.NDArray[np.float32]:
        """Means of 16 × 16 pixels, of what fills whole blocks, per light ordered."""
        image: npt.NDArray[Any] = self._frame.pixels
        rows, columns = (max(1, n // BLOCK) for n in image.shape)
        high, wide = (min(BLOCK, n) for n in image.shape)
        cut = image[: rows * high, : columns * wide]
        means = cut.reshape(rows, high, columns, wide).mean(axis=(1, 3))
        light = self.light
        blocks: npt.NDArray[np.float32] = (means / (light or 1.0)).astype(np.float32)
        return blocks
