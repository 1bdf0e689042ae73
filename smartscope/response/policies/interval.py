"""Survey fast while something happens, slow otherwise."""

from __future__ import annotations

from smartscope.response.actions import Action, SetInterval
from smartscope.response.decision import Decision, Outcome
from smartscope.response.observation import Observation
from smartscope.response.settings import IntervalSettings


class Interval:
    """Switches the survey's interval for all places, with hysteresis.

    A hit anywhere makes it fast; it stays fast until ``stay_s`` have passed without a
    hit, by the time of the frames, and, where ``calm`` names occurrences, until one of
    them has come at each place that had a hit. It wishes only when it wants a change,
    and again if the arbiter or the planner did not let the last one through. The survey
    is taken to begin slow, with the interval it was given.
    """

    def __init__(self, settings: IntervalSettings) -> None:
        self.settings = settings
        self._is_fast = False
        self._was_fast = False
        self._last_hit_s = float("-inf")
        self._last_decision = ""
        self._excited: set[str] = set()

    def decide(self, seen: Observation) -> list[Action]:
        """Wish the other interval when it is time."""
        settings, now_s = self.settings, seen.frame.time_s
        names = {hit.name for hit in seen.occurrences}
        if not names.isdisjoint(settings.calm):
            self._excited.discard(seen.frame.place)
        if not names.isdisjoint(settings.on):
            self._last_hit_s = now_s
            if settings.calm:
                self._excited.add(seen.frame.place)
        wants_fast = (
            bool(self._excited)
            or now_s - self._last_hit_s < settings.stay_s
            or self._last_hit_s == now_s
        )
        if wants_fast == self._is_fast:
            return []
        return [
            SetInterval(
                place=seen.frame.place,
                interval_s=settings.fast_s if wants_fast else settings.slow_s,
            )
        ]

    def told(self, news: Decision | Outcome) -> None:
        """Note whether its wish was let through, or came to nothing later."""
        if isinstance(news, Outcome):
            if news.decision_id == self._last_decision and news.status != "done":
                self._is_fast = self._was_fast
            return
        if not isinstance(news.wish, SetInterval):
            return
        if news.verdict in ("granted", "clipped", "shadowed"):
            fast = news.wish.interval_s == self.settings.fast_s
            self._was_fast, self._is_fast = self._is_fast, fast
            self._last_decision = news.decision_id
            if fast and self.settings.calm and not self._excited:
                # a process that was started again learns it from this decision
                self._excited.add(news.wish.place)
            if fast:
                self._last_hit_s = max(self._last_hit_s, news.time_s)
