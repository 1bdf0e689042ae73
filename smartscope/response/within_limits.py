"""An action brought inside the limits of the microscope, or refused."""

from __future__ import annotations

import math
from typing import Any

from smartscope.acquisition import Frame, Limits, allows, is_range, look_up, told
from smartscope.response.actions import (
    Action,
    Burst,
    MoveSeries,
    MoveStage,
    Refocus,
    Series,
    SetExposure,
    SetPower,
    SetProperty,
)
from smartscope.response.stimulation import Stimulate
from smartscope.response.visiting import Visit


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
        Positions, exposures, powers, numbers for a property and lengths are clipped; a
        step that is too long is not.

    Raises
    ------
    Refusal
        If a number is not finite, a step too long, a property not declared or a word
        none of its values, or the clipped position would not show the target any more.
    """
    if not is_finite(action):
        raise Refusal("not every number in it is finite")
    changed: dict[str, Any] = {}
    clips: list[str] = []
    if isinstance(action, MoveStage | Burst | Series | MoveSeries | Stimulate):
        _place_inside(action, frame, limits, changed, clips)
    if isinstance(action, MoveStage) and action.z_um is not None:
        _planes_inside(action, action.z_um, limits, changed, clips)
    if isinstance(action, Burst | Series | SetExposure | Refocus | Stimulate):
        exposure_ms = limits.clip("exposure_ms", action.exposure_ms)
        if exposure_ms != action.exposure_ms:
            if not exposure_ms > 0:
                raise Refusal("limits.exposure_ms leaves no exposure above 0")
            changed["exposure_ms"] = exposure_ms
            clips.append(
                f"exposure {action.exposure_ms:g} to {exposure_ms:g} ms by "
                "limits.exposure_ms"
            )
    if isinstance(action, SetPower | Stimulate) and action.power_percent is not None:
        power = limits.clip("power_percent", action.power_percent)
        if power != action.power_percent:
            if not power > 0:
                raise Refusal("limits.power_percent leaves no power above 0")
            changed["power_percent"] = power
            clips.append(
                f"power {action.power_percent:g} to {power:g} % by limits.power_percent"
            )
    if isinstance(action, Stimulate) and limits.burst_frames is not None:
        if action.pulses > limits.burst_frames:
            # a part of a dose is another dose
            raise Refusal(
                f"{action.pulses} pulses are more than limits.burst_frames = "
                f"{limits.burst_frames}"
            )
    if isinstance(action, SetProperty):
        _value_inside(action, limits, changed, clips)
    if isinstance(action, Burst):
        longest = limits.burst_frames
        each = action.frames_each
        if longest is not None and action.frames * each > longest:
            times = longest // each
            if times < 1:
                raise Refusal(
                    f"{each} frames of one time are more than limits.burst_frames = "
                    f"{longest}"
                )
            changed["frames"] = times
            what = "frames" if each == 1 else f"times of {each} frames"
            clips.append(f"{action.frames} to {times} {what} by limits.burst_frames")
    return (action.model_copy(update=changed) if changed else action), clips


def _visit_inside(action: Visit, limits: Limits) -> None:
    # its field may be small: a target that is not in the middle may not be in it
    for name in ("x_um", "y_um"):
        value = getattr(action, name)
        if limits.clip(name, value) != value:
            raise Refusal(f"{name} {value:.1f} µm is outside limits.{name}")


def _value_inside(
    action: SetProperty, limits: Limits, changed: dict[str, Any], clips: list[str]
) -> None:
    which = f"'{action.property}' of '{action.device}'"
    declared = look_up(limits.properties, action.device, action.property)
    if declared is None:
        raise Refusal(f"{which} is not declared in limits.properties")
    if allows(declared, action.value):
        return
    if not is_range(declared) or isinstance(action.value, str):
        raise Refusal(
            f"{which} may be {told(declared)} by limits.properties, not {action.value}"
        )
    low, high = (float(end) for end in declared)
    changed["value"] = min(max(action.value, low), high)
    clips.append(
        f"{which} {action.value:g} to {changed['value']:g} by limits.properties"
    )


def _planes_inside(
    action: MoveStage,
    z_um: float,
    limits: Limits,
    changed: dict[str, Any],
    clips: list[str],
) -> None:
    """Keep the middle of a stack so that all its planes are inside."""
    half_um = action.z_span_um / 2
    lowest = limits.clip("z_um", z_um - half_um) + half_um
    got = limits.clip("z_um", lowest + half_um) - half_um
    if limits.clip("z_um", got - half_um) != got - half_um:
        raise Refusal(
            f"a stack of {action.z_span_um:g} µm does not fit into limits.z_um"
        )
    if abs(got - z_um) > 1e-9:
        changed["z_um"] = got
        clips.append(f"z {z_um:.2f} to {got:.2f} µm by limits.z_um")


def _place_inside(
    action: MoveStage | Burst | Series | MoveSeries | Stimulate,
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
    field_px = state.field_px or frame.pixels.shape
    half_field_um = min(field_px) * state.pixel_size_um / 2
    if isinstance(action, Burst | Series) and action.roi_um is not None:
        half_field_um = min(half_field_um, action.roi_um / 2)
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
