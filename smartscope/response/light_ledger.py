"""The light that was granted and does not show in the frames' accounts yet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from smartscope.acquisition import Limits
from smartscope.recognition import Track
from smartscope.response.actions import (
    Action,
    Burst,
    Refocus,
    Series,
    SetExposure,
    SetPower,
)
from smartscope.response.decision import Outcome
from smartscope.response.observation import Observation
from smartscope.response.stimulation import Stimulate
from smartscope.response.visiting import Visit

Lights = Burst | Refocus | Series | Stimulate | Visit


@dataclass(slots=True)
class _Promise:
    """Light of what was granted, and when it was taken (None: not yet).

    ``more_ms_percent`` is what tracks of a stimulation get beyond their place's share;
    ``visit`` lights a part of its place only.
    """

    place: str
    light_ms_percent: float
    tracks: frozenset[int] = frozenset()
    more_ms_percent: float = 0.0
    visit: Visit | None = None
    spent_s: float | None = None


class LightLedger:
    """Accounts of places as the frames say, plus what was granted since.

    Light of a granted burst is owed to its place until a frame of that place, taken
    after the burst's outcome, carries it in its account. What was granted at a place is
    owed to all tracks at it. Without limits of light nothing is kept.

    Parameters
    ----------
    limits : Limits
        Of these ``light_ms_percent`` and ``track_light_ms_percent``.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.accounts: dict[str, float] = {}
        self._tracks: dict[str, Mapping[int, Track]] = {}
        self._promised: dict[str, _Promise] = {}

    def see(self, seen: Observation) -> None:
        """Take a frame's account; drop what it now contains."""
        frame = seen.frame
        self.accounts[frame.place] = frame.light_ms_percent
        self._tracks[frame.place] = seen.tracks
        own = self._promised.get(frame.decision_id)
        if own is not None:
            # the account of its place has this frame now
            own.light_ms_percent -= frame.state.light_ms_percent
            own.light_ms_percent = max(0.0, own.light_ms_percent)
        for decision_id, promise in list(self._promised.items()):
            spent_s = promise.spent_s
            if (
                promise.place == frame.place
                and spent_s is not None
                and frame.time_s > spent_s
            ):
                del self._promised[decision_id]

    def promise(self, decision_id: str, action: Lights, power_percent: float) -> None:
        """Note the light of what was granted."""
        if not self._is_limited():
            return
        if isinstance(action, Stimulate):
            light = action.pulses * action.light_ms_percent(power_percent)
            self._promised[decision_id] = _Promise(
                action.place,
                light * action.share,
                tracks=action.track_ids,
                more_ms_percent=light * (1 - action.share),
            )
            return
        times, frames = _times(action)
        light = times * frames * action.exposure_ms * power_percent
        visit = action if isinstance(action, Visit) else None
        self._promised[decision_id] = _Promise(action.place, light, visit=visit)

    def take(self, outcome: Outcome) -> None:
        """Give back what was not spent; wait for the rest to show in a frame."""
        promise = self._promised.get(outcome.decision_id)
        if promise is None:
            return
        if outcome.status in ("stale", "refused"):
            del self._promised[outcome.decision_id]
        else:
            promise.spent_s = outcome.time_s
            # from now on the tracks themselves have it
            promise.more_ms_percent = 0.0

    def owed(self, place: str) -> float:
        """Return the light granted at a place that its account does not contain."""
        return sum(
            promise.light_ms_percent
            for promise in self._promised.values()
            if promise.place == place
        )

    def _owed_at(self, action: Action) -> float:
        """Return the light that is owed where an action lights its place."""
        if not isinstance(action, Visit):
            return self.owed(action.place)
        return sum(
            promise.light_ms_percent
            for promise in self._promised.values()
            if promise.place == action.place and _meets(promise.visit, action)
        )

    def _owed_to(self, track: str) -> float:
        """Return what stimulations owe to a track beyond its place's share."""
        return sum(
            promise.more_ms_percent
            for promise in self._promised.values()
            if track in {f"track {track_id}" for track_id in promise.tracks}
        )

    def times_that_fit(self, action: Lights, seen: Observation) -> tuple[int, str]:
        """Return how much of it the accounts allow, and which one binds.

        Of a burst the number of frames, of a series that of visits, of a focus 1 or 0,
        of a stimulation the pulses: its place gets the share of the field that is lit,
        and each track that is lit all of it.
        """
        times, frames = _times(action)
        if not self._is_limited():
            return times, ""
        # it may use another channel; its power is not known here, the frame's is
        power = seen.frame.state.power_percent
        each = frames * action.exposure_ms * power
        what_each = "a frame"
        lit: dict[str, float] = {}
        if isinstance(action, Stimulate):
            whole = action.light_ms_percent(power)
            each, what_each = whole * action.share, "a pulse"
            lit = {f"track {track_id}": whole for track_id in action.track_ids}
        if frames > 1 or isinstance(action, Series):
            what_each = "a visit" if isinstance(action, Series) else "each of its times"
            if isinstance(action, Refocus):
                what_each = "a sweep"
        at_place = self._owed_at(action)
        fits, why = times, ""
        for what, account, limit, name in self._accounts(action, seen):
            one = lit.get(what, each)
            owed = at_place + (self._owed_to(what) if what in lit else 0.0)
            left = limit - account - owed
            n = max(0, math.floor(left / one)) if one > 0 else times
            # the division may round up over the edge
            while n > 0 and account + owed + n * one > limit:
                n -= 1
            if n < fits:
                fits = n
                why = (
                    f"{what} has {account:g} + {owed:g} granted of limits.{name} = "
                    f"{limit:g} ms × %, {what_each} takes {one:g}"
                )
        return fits, why

    def forbids_raise(self, action: SetExposure | SetPower, seen: Observation) -> str:
        """Return why the survey may not light a place more, or ``''``.

        A frame's exposure counts with its power now, and its power with its exposure.
        """
        limit = self.limits.light_ms_percent
        state = seen.frame.state
        if isinstance(action, SetExposure):
            each = action.exposure_ms * state.power_percent
            told = f"{action.exposure_ms:g} ms"
        else:
            each = action.power_percent * state.exposure_ms
            told = f"{action.power_percent:g} %"
        here = action.place == seen.frame.place
        if limit is None or (here and each <= state.light_ms_percent):
            return ""
        account = self.accounts.get(action.place, 0.0) + self.owed(action.place)
        if account + each <= limit:
            return ""
        return (
            f"light: not one frame of {told} fits; "
            f"{action.place} has {account:g} of limits.light_ms_percent = {limit:g}"
        )

    def _is_limited(self) -> bool:
        limits = self.limits
        return not (
            limits.light_ms_percent is None and limits.track_light_ms_percent is None
        )

    def _accounts(
        self, action: Lights, seen: Observation
    ) -> list[tuple[str, float, float, str]]:
        """Return whose, account, limit and its name, for all that it would light."""
        accounts = []
        place_limit = self.limits.light_ms_percent
        if place_limit is not None:
            account = self.accounts.get(action.place, 0.0)
            accounts.append((action.place, account, place_limit, "light_ms_percent"))
        track_limit = self.limits.track_light_ms_percent
        if track_limit is not None:
            state = seen.frame.state
            rows, columns = state.field_px or seen.frame.pixels.shape
            # the field as a circle round it: whatever way the camera is turned
            reach_um = math.hypot(rows, columns) * state.pixel_size_um / 2
            if isinstance(action, Visit) and action.field_um is not None:
                reach_um = action.field_um / math.sqrt(2)
            accounts += [
                (
                    f"track {track.track_id}",
                    track.light_ms_percent,
                    track_limit,
                    "track_light_ms_percent",
                )
                for track in self._tracks.get(action.place, {}).values()
                if track.track_id == action.track_id
                or math.hypot(track.x_um - action.x_um, track.y_um - action.y_um)
                <= reach_um
            ]
        return accounts


def _times(action: Lights) -> tuple[int, int]:
    """Return how often it lights the place, and frames of each time."""
    if isinstance(action, Stimulate):
        return action.pulses, 1
    if isinstance(action, Burst):
        return action.frames, action.frames_each
    if isinstance(action, Refocus):
        return 1, action.frames
    if isinstance(action, Visit):
        return action.frames, action.frames_per_time
    return action.visits, action.frames_per_visit


def _meets(other: Visit | None, visit: Visit) -> bool:
    """Whether the fields of two visits may overlap; another action lights it all."""
    if other is None or other.field_um is None or visit.field_um is None:
        return True
    reach_um = math.sqrt(2) * max(other.field_um, visit.field_um)
    return math.hypot(other.x_um - visit.x_um, other.y_um - visit.y_um) <= reach_um
