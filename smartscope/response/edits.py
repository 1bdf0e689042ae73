"""What a person may still change about a granted burst or series that waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from smartscope.acquisition import Limits
from smartscope.errors import LimitBroken, nearest
from smartscope.response.actions import Action, AuditLook, Burst, Series

_OF_BOTH = ("exposure_ms", "channels", "z_planes", "z_step_um", "interval_s")
_KEYS: dict[type[Action], tuple[str, ...]] = {
    Burst: ("frames", "channel", *_OF_BOTH),
    Series: ("visits", *_OF_BOTH),
}


class EditRefused(Exception):
    """Why a change cannot be made, in words; the order stays as it was."""


def edited(
    action: Action | None, changes: Mapping[str, Any], limits: Limits
) -> Burst | Series:
    """Return a burst or series with some of its fields changed.

    Parameters
    ----------
    action : Action
        As granted. Where it is centred is not edited.
    changes : Mapping
        Fields and their new values.
    limits : Limits
        They hold for a person too.

    Raises
    ------
    EditRefused
        If it is no burst or series, a field is none that can be changed, or a value is
        none that it may have. Nothing is clipped: a person is told.
    """
    if not isinstance(action, Burst | Series) or isinstance(action, AuditLook):
        raise EditRefused("only bursts and series can be changed")
    known = _KEYS[Burst if isinstance(action, Burst) else Series]
    for key in changes:
        if key not in known:
            raise EditRefused(
                f"'{key}' cannot be changed.{nearest(key, known)} These can: "
                f"{', '.join(known)}"
            )
    new = dict(changes)
    if new.get("channels"):
        new.setdefault("channel", None)
        if isinstance(action, Series):
            del new["channel"]
    elif new.get("channel"):
        new["channels"] = ()
    try:
        wished = type(action).model_validate({**action.model_dump(), **new})
        limits.check("exposure_ms", wished.exposure_ms)
    except ValidationError as e:
        error = e.errors(include_url=False)[0]
        where = ".".join(str(part) for part in error["loc"])
        raise EditRefused(f"{where}: {error['msg']}, got {error['input']!r}") from e
    except LimitBroken as e:
        raise EditRefused(e.what) from e
    if isinstance(wished, Burst) and limits.burst_frames is not None:
        frames = wished.frames * wished.frames_each
        if frames > limits.burst_frames:
            raise EditRefused(
                f"{frames} frames are more than limits.burst_frames = "
                f"{limits.burst_frames}"
            )
    return wished
