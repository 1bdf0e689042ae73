"""What may be done of what the policies wish.

It alone weighs wishes against limits, light accounts, cool-downs and each other; every
wish gets exactly one decision, with its reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from smartscope.acquisition import Limits
from smartscope.response.actions import (
    Action,
    Bookmark,
    Burst,
    EndSeries,
    KeepFrames,
    MoveSeries,
    MoveStage,
    Notify,
    Refocus,
    Series,
    SetExposure,
    SetPower,
    SetProperty,
)
from smartscope.response.decision import LET_THROUGH, Decision, Outcome, Verdict
from smartscope.response.draw import drawn
from smartscope.response.light_ledger import LightLedger, Lights
from smartscope.response.observation import Observation
from smartscope.response.settings import OwnPolicySettings, PolicySettings
from smartscope.response.stimulation import Stimulate
from smartscope.response.visiting import Visit
from smartscope.response.within_limits import Refusal, within_limits

MIN_BURST_FRAMES = 3
_MOST_GRANTS = 50_000
_OF_PLACES = (
    Burst | Series | Visit | Refocus | Stimulate | MoveStage | SetExposure | SetPower
)


@dataclass(frozen=True, slots=True)
class Wish:
    """One action that a policy asks for.

    Attributes
    ----------
    policy : str
        Its name in the records, unique in a run.
    settings : PolicySettings
        Its priority, cool-down and age limit.
    action : Action
        What it asks for.
    rank : tuple of int
        Place of the policy in the experiment file, and of the action in its list: of
        equal priorities the lower rank comes first.
    """

    policy: str
    settings: PolicySettings
    action: Action
    rank: tuple[int, int] = (0, 0)


@dataclass(slots=True)
class _Grant:
    """The last grant of a policy at a place: what the cool-down counts from."""

    decision_id: str
    time_s: float
    before_s: float


class Arbiter:
    """Decides about the wishes of one frame.

    Wishes are taken by falling priority, then by rank. Each is brought inside the
    limits, or refused; then it must wait for its policy's cool-down at its place, must
    not want what a stronger wish of the same frame already has, and a burst's light
    must fit into the accounts of its place and of every track in its field: fewer
    frames are granted, and fewer than three none. A wish that is refused holds nothing
    back.

    Light that was granted counts from then on, until a frame of the place taken after
    its outcome carries it in its account; a stale or refused one is given back, and so
    is its cool-down. In shadow nothing is granted, and what would have been is told in
    the reason; cool-downs run as they would.

    Parameters
    ----------
    limits : Limits
        Of the microscope, tightened by the experiment.
    shadow : bool
        Decide and record, let nothing through.
    max_age_ms : float, optional
        For policies that have no age limit of their own.
    model_sha256 : str
        Of the detector, for the records.
    sham : Mapping of str to float
        By the name of a policy, the share of its bursts or stimulations that is
        withheld: drawn from the seed and the decision's id, so that a replay withholds
        the same. All else is as if it had been granted: cool-down, and what it keeps
        from weaker wishes.
    seed : int
        Of the experiment.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        shadow: bool = False,
        max_age_ms: float | None = None,
        model_sha256: str = "",
        sham: Mapping[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self.limits = limits
        self.shadow = shadow
        self.max_age_ms = max_age_ms
        self.model_sha256 = model_sha256
        self._sham = dict(sham or {})
        self._seed = seed
        self._ledger = LightLedger(limits)
        self._grants: dict[tuple[str, str], _Grant] = {}

    def decide(self, seen: Observation, wishes: Sequence[Wish]) -> list[Decision]:
        """Return one decision for each wish, the strongest first.

        Parameters
        ----------
        seen : Observation
            What the policies were shown.
        wishes : sequence of Wish
            In any order.
        """
        self._ledger.see(seen)
        held: dict[tuple[str, ...], Decision] = {}
        fresh: set[tuple[str, str]] = set()
        decisions = []
        ordered = sorted(wishes, key=lambda w: (-w.settings.priority, w.rank))
        for number, wish in enumerate(ordered):
            decision_id = f"{seen.frame.frame_id}/{number}"
            verdict, granted, reason = self._judge(seen, wish, held, fresh)
            kept: Verdict | None = None
            if granted is not None:
                kept = self._withheld(wish, granted, decision_id)
                self._note(seen, wish, granted, decision_id, fresh, kept)
            if kept is not None:
                why = "in shadow" if kept == "shadowed" else "sham, drawn by chance"
                reason = f"{why}; otherwise {verdict}: {reason}"
                verdict = kept
            decision = Decision(
                decision_id=decision_id,
                frame_id=seen.frame.frame_id,
                time_s=seen.frame.time_s,
                handed_over_s=seen.frame.handed_over_s,
                policy=wish.policy,
                priority=wish.settings.priority,
                wish=wish.action,
                granted=None if kept is not None else granted,
                verdict=verdict,
                reason=reason,
                occurrence_ids=_answered(seen, wish),
                max_age_ms=wish.settings.max_age_ms or self.max_age_ms,
                model_sha256=self.model_sha256,
            )
            if granted is not None:
                held[_slot(wish.action)] = decision
            decisions.append(decision)
        return decisions

    def take(self, outcome: Outcome) -> None:
        """Learn what became of a granted decision."""
        self._ledger.take(outcome)
        if outcome.status not in ("stale", "refused"):
            return
        for key, grant in self._grants.items():
            if grant.decision_id == outcome.decision_id:
                grant.time_s = grant.before_s
                if grant.before_s == -math.inf:
                    del self._grants[key]
                break

    def seed(
        self,
        decisions: Iterable[Decision],
        outcomes: Iterable[Outcome],
        accounts: dict[str, float],
    ) -> None:
        """Take up cool-downs and light not yet accounted for, after a restart.

        Parameters
        ----------
        decisions : iterable of Decision
            The last ones of each policy and place, and bursts still to come, oldest
            first.
        outcomes : iterable of Outcome
            Of these decisions, as far as there are any.
        accounts : dict
            Light account of each place at its last analysed frame.
        """
        self._grants.clear()
        self._ledger = LightLedger(self.limits)
        self._ledger.accounts.update(accounts)
        for decision in decisions:
            if decision.verdict not in LET_THROUGH:
                continue
            if not isinstance(decision.wish, MoveSeries | EndSeries):
                self._start_cool_down(
                    (decision.policy, decision.wish.place),
                    decision.decision_id,
                    decision.time_s,
                )
            if isinstance(decision.granted, Lights):
                # the power it had is not in the record: full power is the safe guess
                self._ledger.promise(decision.decision_id, decision.granted, 100.0)
        for outcome in outcomes:
            self.take(outcome)

    def _judge(
        self,
        seen: Observation,
        wish: Wish,
        held: dict[tuple[str, ...], Decision],
        fresh: set[tuple[str, str]],
    ) -> tuple[Verdict, Action | None, str]:
        place = wish.action.place
        if isinstance(wish.action, _OF_PLACES) and (place not in self._ledger.accounts):
            return "refused", None, f"no frame of a place {place!r} has been analysed"
        try:
            action, clips = within_limits(wish.action, seen.frame, self.limits)
        except Refusal as refusal:
            return "refused", None, str(refusal)
        steers = isinstance(action, MoveSeries | EndSeries)
        waiting_s = 0.0 if steers else self._cooling_s(wish, seen.frame.time_s, fresh)
        if waiting_s > 0:
            return (
                "refused",
                None,
                f"cool-down: {wish.policy} has {waiting_s:.1f} s of "
                f"{wish.settings.cool_down_s:g} s to wait at {place}",
            )
        winner = held.get(_slot(action))
        if winner is not None:
            return (
                "superseded",
                None,
                f"{winner.policy} has the same in this frame: decision "
                f"{winner.decision_id}, priority {winner.priority} against "
                f"{wish.settings.priority}",
            )
        if isinstance(action, Burst):
            fits, why = self._ledger.times_that_fit(action, seen)
            if fits < min(action.frames, MIN_BURST_FRAMES):
                return "refused", None, f"light: {fits} frames fit; {why}"
            if fits < action.frames:
                clips.append(
                    f"{action.frames} to {fits} frames, as light allows: {why}"
                )
                action = action.model_copy(update={"frames": fits})
        elif isinstance(action, Series):
            fits, why = self._ledger.times_that_fit(action, seen)
            if fits < 1:
                return "refused", None, f"light: not one visit fits; {why}"
            if fits < action.visits:
                clips.append(
                    f"{action.visits} to {fits} visits, as light allows: {why}"
                )
                action = action.model_copy(update={"visits": fits})
        elif isinstance(action, Refocus):
            fits, why = self._ledger.times_that_fit(action, seen)
            if fits < 1:
                return "refused", None, f"light: not one sweep fits; {why}"
        elif isinstance(action, Stimulate):
            fits, why = self._ledger.times_that_fit(action, seen)
            if fits < action.pulses:
                # a part of a dose is another dose
                return "refused", None, f"light: {fits} pulses fit; {why}"
        elif isinstance(action, Visit):
            fits, why = self._ledger.times_that_fit(action, seen)
            if fits < action.frames:
                return "refused", None, f"light: it does not fit; {why}"
        elif isinstance(action, SetExposure | SetPower):
            if why := self._ledger.forbids_raise(action, seen):
                return "refused", None, why
        if clips:
            return "clipped", action, "; ".join(clips)
        return "granted", action, "within all limits"

    def _cooling_s(
        self, wish: Wish, now_s: float, fresh: set[tuple[str, str]]
    ) -> float:
        key = (wish.policy, wish.action.place)
        grant = self._grants.get(key)
        # several wishes of one frame are one reaction
        if grant is None or key in fresh:
            return 0.0
        return grant.time_s + wish.settings.cool_down_s - now_s

    def _note(
        self,
        seen: Observation,
        wish: Wish,
        granted: Action,
        decision_id: str,
        fresh: set[tuple[str, str]],
        kept: Verdict | None,
    ) -> None:
        key = (wish.policy, granted.place)
        steers = isinstance(granted, MoveSeries | EndSeries)
        if key not in fresh and not steers:
            self._start_cool_down(key, decision_id, seen.frame.time_s)
            fresh.add(key)
        if isinstance(granted, Lights) and kept is None:
            power = seen.frame.state.power_percent
            self._ledger.promise(decision_id, granted, power)

    def _withheld(
        self, wish: Wish, granted: Action, decision_id: str
    ) -> Verdict | None:
        """Return why what could be granted is not done all the same, or None."""
        if self.shadow:
            return "shadowed"
        share = self._sham.get(wish.policy, 0.0)
        if (
            isinstance(granted, Burst | Stimulate)
            and drawn(self._seed, "sham", decision_id) < share
        ):
            return "sham"
        return None

    def _start_cool_down(
        self, key: tuple[str, str], decision_id: str, time_s: float
    ) -> None:
        before = self._grants.pop(key, None)
        before_s = before.time_s if before else -math.inf
        self._grants[key] = _Grant(decision_id, time_s, before_s)
        # a policy may name places that there are not, another one every time
        if len(self._grants) > _MOST_GRANTS:
            del self._grants[next(iter(self._grants))]


def _slot(action: Action) -> tuple[str, ...]:
    """What two wishes cannot both have in one frame."""
    match action:
        case SetExposure() | SetPower():
            return (action.kind, action.place, action.channel)
        case SetProperty():
            return (action.kind, action.device, action.property)
        case MoveStage() | Burst() | Refocus():
            return (action.kind, action.place)
        case Series() | Stimulate():
            return (action.kind, action.place, str(action.track_id))
        case Visit():
            at = f"{action.x_um:.1f}/{action.y_um:.1f}"
            return (action.kind, action.place, str(action.track_id), at)
        case KeepFrames():
            # of two lengths both hold
            return (action.kind, action.place, f"{action.before}/{action.after}")
        case Bookmark():
            return (action.kind, action.place, str(action.track_id), action.text)
        case Notify():
            return (action.kind, action.place, str(action.track_id), action.call)
        case MoveSeries() | EndSeries():
            return (action.kind, action.series)
    return (action.kind,)


def _answered(seen: Observation, wish: Wish) -> tuple[str, ...]:
    """Return the occurrences of this frame that a wish answers.

    Of a policy with ``on`` those it names, of one's own all; of these, where the wish
    names a track, those that are about it.
    """
    own = isinstance(wish.settings, OwnPolicySettings)
    on = getattr(wish.settings, "on", ())
    hits = [hit for hit in seen.occurrences if own or hit.name in on]
    track_id = wish.action.track_id
    about = [hit for hit in hits if track_id in hit.track_ids]
    chosen = about if track_id >= 0 else hits
    return tuple(hit.occurrence_id for hit in chosen)
