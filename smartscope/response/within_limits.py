"""An action brought inside the limits of the microscope, or refused."""

from __future__ import annotations

import math
from typing import Any

from smartscope.acquisition import Frame, Limits
from smartscope.response.actions import (
    Action,
    Burst,
    MoveSeries,
    MoveStage,
    Series,
    SetExposure,
)


class Refusal(Exception):
    """Why an action cannot be granted at all; it never leaves the arbiter."""


def is_finite(action: Action) -> bool:
    """Whether all numbers of an action are finite: others cannot even be recorded."""
    return all(
        math.isfinite(value)
        for value in action.model_dump().values()
        if isinstance(value, float)
    )


def within_limits(
    action: Action, frame: Frame, limits: Limits
) -> tuple[Action, list[str]]:
    """Return the action inside the limits and what was clipped, in words.

    Parameters
    ----------
    action : Action
        The wish.
    frame : Frame
        The one it was made from: steps are counted from its position, and a clipped
        target must still be in a field of its size.
    limits : Limits
        Positions, exposures and lengths are clipped; a step that is too long is not.

    Raises
    ------
    Refusal
        If a number is not finite, a step too long, or the clipped position would not
        show the target any more.
    """
    if not is_finite(action):
        raise Refusal("not every number in it is finite")
    changed: dict[str, Any] = {}
    clips: list[str] = []
    if isinstance(action, MoveStage | Burst | Series | MoveSeries):
        _place_inside(action, frame, limits, changed, clips)
    if isinstance(action, Burst | Series | SetExposure):
        exposure_ms = limits.clip("exposure_ms", action.exposure_ms)
        if exposure_ms != action.exposure_ms:
            if not exposure_ms > 0:
                raise Refusal("limits.exposure_ms leaves no exposure above 0")
            changed["exposure_ms"] = exposure_ms
            clips.append(
                f"exposure {action.exposure_ms:g} to {exposure_ms:g} ms by "
                "limits.exposure_ms"
            )
    if isinstance(action, Burst):
        longest = limits.burst_frames
        if longest is not None and action.frames > longest:
            changed["frames"] = longest
            clips.append(f"{action.frames} to {longest} frames by limits.burst_frames")
    return (action.model_copy(update=changed) if changed else action), clips


def _place_inside(
    action: MoveStage | Burst | Series | MoveSeries,
    frame: Frame,
    limits: Limits,
    changed: dict[str, Any],
    clips: list[str],
) -> None:
    state = frame.state
    x_um = limits.clip("x_um", action.x_um)
    y_um = limits.clip("y_um", action.y_um)
    for axis, wished, got in (("x", action.x_um, x_um), ("y", action.y_um, y_um)):
        if got != wished:
            changed[f"{axis}_um"] = got
            clips.append(f"{axis} {wished:.1f} to {got:.1f} µm by limits.{axis}_um")
    off_um = max(abs(x_um - action.x_um), abs(y_um - action.y_um))
    half_field_um = min(frame.pixels.shape) * state.pixel_size_um / 2
    if off_um > half_field_um:
        raise Refusal(
            f"{'; '.join(clips)}: the target would lie {off_um:.1f} µm off centre, "
            f"outside a field of ±{half_field_um:.1f} µm"
        )
    # of another place only the guarded core knows where the stage will come from
    if limits.max_step_um is None or action.place != frame.place:
        return
    step_um = math.hypot(x_um - state.x_um, y_um - state.y_um)
    if step_um > limits.max_step_um:
        raise Refusal(
            f"a step of {step_um:.1f} µm from where the frame was taken is more than "
            f"limits.max_step_um = {limits.max_step_um:g} µm"
        )
