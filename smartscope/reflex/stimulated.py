"""The light that tracks got through a pattern, beyond what their place is charged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from smartscope.reflex.seed import Seed
from smartscope.response import Decision, Outcome, Stimulate


class StimulatedLight:
    """Waits for the outcomes of stimulations; says which track got how much.

    The account of a place grows by the share of its field that was lit, and all tracks
    there with it. Those that were lit have got all of it: the rest is told here.
    """

    def __init__(self) -> None:
        self._open: dict[str, tuple[Stimulate, float]] = {}

    def note(self, decisions: Iterable[Decision], power_percent: float = 100.0) -> None:
        """Learn of decisions; ``power_percent`` is that of the light without a wish."""
        for decision in decisions:
            if isinstance(decision.granted, Stimulate):
                self._open[decision.decision_id] = (decision.granted, power_percent)

    def take(self, outcome: Outcome) -> Iterator[tuple[int, float]]:
        """Yield tracks and their light in ms × % once a stimulation has ended."""
        action, power = self._open.pop(outcome.decision_id, (None, 0.0))
        if action is None:
            return
        # several cameras give several frames of one pulse
        pulses = min(outcome.frames, action.pulses)
        light = pulses * action.light_ms_percent(power) * (1 - action.share)
        if light > 0:
            for track_id in sorted(action.track_ids):
                yield track_id, light

    def resume(self, seed: Seed) -> Iterator[tuple[int, float]]:
        """Take up what an earlier process waited for.

        The power it had is not in the record: full power is the safe guess.

        Yields
        ------
        tuple
            Tracks and their light in ms × %, of what has ended since the last frame of
            its place was analysed: the tracks there do not have it.
        """
        newest: dict[str, float] = {}
        for track in seed.alive():
            last_s = max(newest.get(track.place, track.last_seen_s), track.last_seen_s)
            newest[track.place] = last_s
        self.note(seed.decisions)
        places = {d.decision_id: d.wish.place for d in seed.decisions}
        for outcome in seed.outcomes:
            light = list(self.take(outcome))
            place = places.get(outcome.decision_id, "")
            if outcome.time_s >= newest.get(place, float("inf")):
                yield from light
