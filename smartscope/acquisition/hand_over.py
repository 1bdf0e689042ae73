"""What the cameras gave for an exposure becomes frames, and these are handed over.

The light of an exposure is charged here, once, however many cameras looked at it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from useq import MDAEvent

from smartscope.acquisition.cameras import Camera
from smartscope.acquisition.event_tag import EventTag
from smartscope.acquisition.frame import Frame, FrameState
from smartscope.acquisition.light_budget import LightBudget
from smartscope.acquisition.orders import Orders
from smartscope.errors import BrokenOff

Orientation = tuple[tuple[float, float], tuple[float, float]]
# pixels, and the time the camera stamped in s (NaN: none)
Shot = tuple[npt.NDArray[np.generic], float]
# what the runner takes: pixels, event, metadata
Payload = tuple[npt.NDArray[Any], MDAEvent, dict[str, Any]]


class HandOver:
    """Makes frames and gives them on; called in the runner's thread.

    Parameters
    ----------
    orders : Orders
        Knows the state they were taken in.
    light : LightBudget
        Charged.
    orientation : tuple
        2×2 matrix from camera (column, row) to stage (x, y).
    to : Callable
        Takes each frame.

    Attributes
    ----------
    cameras : tuple of Camera
        Those that give an image at every exposure; set before each event.
    telling : bool
        True while somebody takes a frame: an error is then theirs and not the camera's.
    """

    def __init__(
        self,
        orders: Orders,
        light: LightBudget,
        orientation: Orientation,
        to: Callable[[Frame], None],
    ) -> None:
        self._orders = orders
        self._light = light
        self._orientation = orientation
        self._to = to
        self._frame_id = 0
        self.cameras: tuple[Camera, ...] = ()
        self.telling = False

    def exposure(
        self,
        event: MDAEvent,
        shots: Sequence[tuple[int, Shot]],
        time_s: float,
        power: float,
        exposures_ms: Sequence[float],
        *,
        triggered: bool,
    ) -> list[Payload]:
        """Hand over the frames of one exposure; its light is charged once.

        Parameters
        ----------
        event : MDAEvent
            The order.
        shots : Sequence of (int, Shot)
            Numbers of the cameras and what they gave.
        time_s : float
            Time on the run's clock, the same for all of them.
        power : float
            Of the light, in percent.
        exposures_ms : Sequence of float
            Of each camera.
        triggered : bool
            In a triggered sequence.

        Returns
        -------
        list of Payload
            One for each frame.
        """
        orders = self._orders
        shape, pixel_size_um, objective, _ = orders.optics()
        x, y = orders.position_um(event)
        tag = EventTag.of(event)
        scale = orders.turret.scale(tag.objective)
        light = max(exposures_ms) * power * tag.lit_share
        account = self._light.charge(x, y, light, scale)
        lit_for = shots[0][0]
        if len(shots) > 1:
            lit_for = max((number for number, _ in shots), key=exposures_ms.__getitem__)
        payloads = []
        for number, (image, camera_time_s) in shots:
            camera, exposure_ms = self.cameras[number], exposures_ms[number]
            if image.shape != shape:
                raise BrokenOff(
                    f"A frame of {camera.label} has shape {image.shape} "
                    f"instead of {shape}.",
                    rule="All frames of a camera have the size it says.",
                    way_out="Check ROI and binning of the camera.",
                    state=orders.describe(),
                )
            state = FrameState(
                x_um=x,
                y_um=y,
                z_um=orders.z_um(event),
                exposure_ms=exposure_ms,
                channel=orders.channel(event),
                pixel_size_um=pixel_size_um,
                objective=objective,
                power_percent=power,
                measured=orders.measured,
                orientation=self._orientation,
                offset_px=orders.region.offset_px,
                field_px=orders.region.field_px,
                lit_share=tag.lit_share,
            )
            frame = Frame(
                pixels=image,
                event=event,
                frame_id=self._frame_id,
                time_s=time_s,
                handed_over_s=time.monotonic(),
                place=tag.place,
                state=state,
                light_ms_percent=account,
                shares_light=number != lit_for,
                camera=camera.label,
                camera_time_s=camera_time_s,
                origin=tag.origin,
                decision_id=tag.decision_id,
                bit_depth=camera.bit_depth,
            )
            self._frame_id += 1
            self.telling = True
            self._to(frame)
            self.telling = False
            payloads.append(self._payload(frame, number, triggered))
        return payloads

    def _payload(self, frame: Frame, number: int, triggered: bool) -> Payload:
        """Return what listeners of the runner expect; nothing is asked of the core."""
        event = frame.event
        if len(self.cameras) > 1:
            # listeners of the runner know cameras apart by their index
            event = event.model_copy(update={"index": {**event.index, "cam": number}})
        metadata = {
            "format": "frame-dict",
            "version": "1.0",
            "camera_device": frame.camera,
            "property_values": (),
            "exposure_ms": frame.state.exposure_ms,
            "pixel_size_um": frame.state.pixel_size_um,
            "mda_event": event,
            "hardware_triggered": triggered,
        }
        return frame.pixels, event, metadata
