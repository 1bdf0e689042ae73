"""Hold, end, mark or tell: what needs no camera."""

from __future__ import annotations

from smartscope.response.actions import Action, Bookmark, EndSurvey, Notify, Pause
from smartscope.response.decision import Decision, Outcome
from smartscope.response.observation import Observation
from smartscope.response.settings import (
    BookmarkSettings,
    EndSurveySettings,
    NotifySettings,
    PauseSettings,
)


class MarkHits:
    """Notes each hit, for whoever looks at the run later."""

    def __init__(self, settings: BookmarkSettings) -> None:
        self.settings = settings

    def decide(self, seen: Observation) -> list[Action]:
        """Wish one bookmark per hit."""
        return [
            Bookmark(
                place=seen.frame.place,
                track_id=hit.track_ids[0] if hit.track_ids else -1,
                x_um=hit.x_um,
                y_um=hit.y_um,
                text=self.settings.text or hit.name,
            )
            for hit in seen.occurrences
            if hit.name in self.settings.on
        ]


class PauseAtHit:
    """Holds the survey at a hit, such as a light that has gone."""

    def __init__(self, settings: PauseSettings) -> None:
        self.settings = settings

    def decide(self, seen: Observation) -> list[Action]:
        """Wish one pause for all hits of a frame."""
        if not any(hit.name in self.settings.on for hit in seen.occurrences):
            return []
        return [Pause(place=seen.frame.place, for_s=self.settings.for_s)]


class NotifyAtHits:
    """Has a function of the user's called at each hit."""

    def __init__(self, settings: NotifySettings) -> None:
        self.settings = settings

    def decide(self, seen: Observation) -> list[Action]:
        """Wish one call per hit."""
        return [
            Notify(
                place=seen.frame.place,
                track_id=hit.track_ids[0] if hit.track_ids else -1,
                call=self.settings.call,
                x_um=hit.x_um,
                y_um=hit.y_um,
                text=self.settings.text or hit.name,
            )
            for hit in seen.occurrences
            if hit.name in self.settings.on
        ]


class EndAtHits:
    """Ends the survey once enough hits have been seen, wherever."""

    def __init__(self, settings: EndSurveySettings) -> None:
        self.settings = settings
        self._hits = 0
        self._wished = False

    def decide(self, seen: Observation) -> list[Action]:
        """Wish the end when the last hit that was asked for has come."""
        on = self.settings.on
        self._hits += sum(hit.name in on for hit in seen.occurrences)
        if self._hits < self.settings.after or self._wished:
            return []
        what = f"{self._hits} of {', '.join(on)}"
        return [EndSurvey(place=seen.frame.place, why=what)]

    def told(self, news: Decision | Outcome) -> None:
        """Wish it once only."""
        if isinstance(news, Decision) and isinstance(news.wish, EndSurvey):
            self._wished = news.verdict in ("granted", "clipped", "shadowed")
