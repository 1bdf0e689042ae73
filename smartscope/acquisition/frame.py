"""A frame and the state it was taken in; how its header travels and is recorded.

The header is encoded once, as one JSON line: the same bytes go to the journal and over
the ring to the analysis process, so a replay sees what the run saw.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from useq import MDAEvent

from smartscope.acquisition.stage_map import StageMap

Origin = Literal["survey", "burst", "series", "audit", "visit", "stimulation", "focus"]


@dataclass(frozen=True, slots=True)
class FrameState:
    """The state of the microscope in which a frame was taken.

    Attributes
    ----------
    x_um, y_um, z_um : float
        Commanded stage position.
    exposure_ms : float
        Read back from the camera.
    channel : str
        Preset of the channel group, asserted before the frame; ``""`` if none.
    objective : str
        Label of the objective; ``""`` if there is none.
    power_percent : float
        Power of the light source, 0 to 100.
    pixel_size_um : float
        Edge of one pixel of this frame in the specimen; above 0.
    moving : bool
        True if the stage was still moving when the exposure began.
    measured : Mapping[str, float]
        Values read back where that is cheap (``x_um``, ``y_um``), and what the
        experiment asks for of devices, by ``"Device.Property"``.
    orientation : tuple
        2×2 matrix from (column, row) to stage (x, y) without the scale.
    offset_px : tuple of float
        Row and column of the middle of this frame, from the pixel that shows the
        stage's position: a region of the camera need not lie about it.
    field_px : tuple of int or None
        Rows and columns of the field that is lit, where this frame is a part of it.
    lit_share : float
        Share of the field that was lit: below 1 through the pattern of a modulator.
    """

    x_um: float
    y_um: float
    z_um: float
    exposure_ms: float
    channel: str
    pixel_size_um: float
    objective: str = ""
    power_percent: float = 100.0
    moving: bool = False
    measured: Mapping[str, float] = field(default_factory=dict)
    orientation: tuple[tuple[float, float], tuple[float, float]] = (
        (1.0, 0.0),
        (0.0, 1.0),
    )
    offset_px: tuple[float, float] = (0.0, 0.0)
    field_px: tuple[int, int] | None = None
    lit_share: float = 1.0

    @property
    def stage_map(self) -> StageMap:
        """The map between pixels of this frame and the stage."""
        return StageMap(self.pixel_size_um, self.orientation, self.offset_px)

    def record(self) -> dict[str, Any]:
        """Return plain values; what only a region of the camera has, if it is one."""
        values = asdict(self)
        if self.offset_px == (0.0, 0.0):
            del values["offset_px"]
        if self.field_px is None:
            del values["field_px"]
        if self.lit_share == 1.0:
            del values["lit_share"]
        return values

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> FrameState:
        """Rebuild a state from what ``record`` said, JSON's lists included."""
        (a, b), (c, d) = record["orientation"]
        row, column = record.get("offset_px", (0.0, 0.0))
        field_px = record.get("field_px")
        return cls(
            **{
                **record,
                "orientation": ((a, b), (c, d)),
                "offset_px": (row, column),
                "field_px": None if field_px is None else (field_px[0], field_px[1]),
            }
        )

    @property
    def light_ms_percent(self) -> float:
        """Light that this one frame is made of, in ms × % (uncalibrated).

        Through a pattern: the mean over the field.
        """
        return self.exposure_ms * self.power_percent * self.lit_share


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image of one camera with everything known about it.

    Attributes
    ----------
    pixels : np.ndarray
        Shape ``(Y, X)``, raw counts.
    event : useq.MDAEvent
        The order it answers.
    frame_id : int
        0, 1, 2, … without gaps over the acquired frames of a run.
    time_s : float
        Time on the run's clock at hand-over, seconds of specimen time; the same for all
        frames of one exposure.
    handed_over_s : float
        ``time.monotonic()`` at hand-over; for latencies only.
    camera : str
        Label of the physical camera.
    camera_time_s : float
        Time the camera stamped, seconds since its sequence began; NaN if none.
    place : str
        The place it shows; light is charged to it and cells are tracked within it.
    state : FrameState
        The state it was taken in.
    light_ms_percent : float
        The account of its place, this frame included.
    shares_light : bool
        True if the light of its exposure was charged with another camera's frame.
    origin : {"survey", "burst", "series", "audit", "visit", "stimulation", "focus"}
        Which part of the plan ordered it.
    decision_id : str
        Of a burst, series or visit, the decision that ordered it; else ``""``.
    bit_depth : int
        Bits of the camera: saturation is ``2**bit_depth - 1``.
    metadata : Mapping
        What else runner and camera said.
    """

    pixels: npt.NDArray[Any]
    event: MDAEvent
    frame_id: int
    time_s: float
    handed_over_s: float
    place: str
    state: FrameState
    light_ms_percent: float = 0.0
    shares_light: bool = False
    camera: str = "Camera"
    camera_time_s: float = float("nan")
    origin: Origin = "survey"
    decision_id: str = ""
    bit_depth: int = 16
    metadata: Mapping[str, Any] = field(default_factory=dict)
    _encoded: list[bytes] = field(default_factory=list, init=False, repr=False)

    def header(self) -> dict[str, Any]:
        """Return everything but the pixels as plain JSON values."""
        camera_time_s = self.camera_time_s
        return {
            "frame_id": self.frame_id,
            "time_s": self.time_s,
            "handed_over_s": self.handed_over_s,
            "place": self.place,
            "origin": self.origin,
            "decision_id": self.decision_id,
            "camera": self.camera,
            "camera_time_s": camera_time_s if camera_time_s == camera_time_s else None,
            "bit_depth": self.bit_depth,
            "light_ms_percent": self.light_ms_percent,
            "shares_light": self.shares_light,
            "state": self.state.record(),
            "event": self.event.model_dump(
                # a pattern is what its decision says, and is computed from it
                mode="json",
                exclude_unset=True,
                exclude={"sequence", "slm_image"},
            ),
            "shape": list(self.pixels.shape),
            "dtype": self.pixels.dtype.str,
            "metadata": dict(self.metadata),
        }

    def encode_header(self) -> bytes:
        """Return the header as one JSON line without its end, encoded once.

        Whoever needs it first encodes it: not the runner, which has a camera to serve.
        """
        if not self._encoded:
            header = json.dumps(self.header(), separators=(",", ":"))
            self._encoded.append(header.encode())
        return self._encoded[0]

    @classmethod
    def from_header(cls, header: Mapping[str, Any], pixels: npt.NDArray[Any]) -> Frame:
        """Rebuild a frame from its header and pixels.

        Raises
        ------
        ValueError
            If shape or dtype of the pixels are not those of the header.
        """
        if list(pixels.shape) != header["shape"] or pixels.dtype != header["dtype"]:
            raise ValueError(
                f"Frame {header['frame_id']} must be {header['shape']} "
                f"{np.dtype(header['dtype'])}, got {pixels.shape} {pixels.dtype}"
            )
        camera_time_s = header["camera_time_s"]
        return cls(
            pixels=pixels,
            event=MDAEvent.model_validate(header["event"]),
            frame_id=header["frame_id"],
            time_s=header["time_s"],
            handed_over_s=header["handed_over_s"],
            place=header["place"],
            state=FrameState.from_record(header["state"]),
            light_ms_percent=header["light_ms_percent"],
            # runs recorded with one camera only may lack it
            shares_light=header.get("shares_light", False),
            camera=header["camera"],
            camera_time_s=float("nan") if camera_time_s is None else camera_time_s,
            origin=header["origin"],
            decision_id=header["decision_id"],
            bit_depth=header["bit_depth"],
            metadata=header["metadata"],
        )
