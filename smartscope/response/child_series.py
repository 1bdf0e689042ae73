"""A child series on its way: which visit comes next, where, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

from useq import MDAEvent

from smartscope.acquisition import EventTag
from smartscope.response.actions import MoveSeries, Series
from smartscope.response.reactions import Reaction


class ChildSeries:
    """Hands out the visits of one granted series, one ahead.

    A visit that comes so late that the one after it is due too is left out: the times
    of a series are kept, and what was left out is told in its outcome.

    Parameters
    ----------
    reaction : Reaction
        Of its decision.
    action : Series
        As granted.
    image : str
        Where its frames are stored.
    z_um : float or None
        Middle of its planes; None where the survey sets no z.
    start_s : float
        Time on the clock of the first visit.
    channel_group : str
        Group of the channel presets.
    power_of : Callable
        Asked for each event: the power that the survey has at a place and channel.
    """

    def __init__(
        self,
        reaction: Reaction,
        action: Series,
        *,
        image: str,
        z_um: float | None,
        start_s: float,
        channel_group: str,
        power_of: Callable[[str, str | None], float | None] = lambda place, channel: (
            None
        ),
    ) -> None:
        self.reaction = reaction
        self.action = action
        self.image = image
        self._z_um = z_um
        self._start_s = start_s
        self._group = channel_group
        self._power_of = power_of
        self._center_um = action.x_um, action.y_um
        self._next = 0
        self.left_out = 0

    @property
    def visits(self) -> int:
        """Visits handed out so far."""
        return self._next - self.left_out

    def move(self, action: MoveSeries) -> None:
        """Go on at another point, from the next visit on."""
        self._center_um = action.x_um, action.y_um

    def next_visit(self, now_s: float) -> tuple[float, list[MDAEvent]] | None:
        """Return when the next visit is due and its events; None after the last."""
        action = self.action
        if self._next:
            # of all that are due by now only the newest
            newest = int((now_s - self._start_s) / action.interval_s)
            skipped = max(0, min(newest, action.visits) - self._next)
            self.left_out += skipped
            self._next += skipped
        if self._next >= action.visits:
            return None
        due_s = self._start_s + self._next * action.interval_s
        events = list(self._events(self._next))
        self._next += 1
        return due_s, events

    def _events(self, t: int) -> Iterator[MDAEvent]:
        action = self.action
        x_um, y_um = self._center_um
        channels = action.channels or (None,)
        for (c, channel), z in product(enumerate(channels), range(action.z_planes)):
            event = MDAEvent(
                index={"t": t, "c": c, "z": z},
                x_pos=x_um,
                y_pos=y_um,
                z_pos=self._plane_um(z),
                exposure=action.exposure_ms,
                channel=(
                    {"config": channel, "group": self._group} if channel else None
                ),
            )
            tag = EventTag(
                place=action.place,
                origin="series",
                decision_id=self.reaction.decision_id,
                image=self.image,
                index=(t, c, z),
                power_percent=self._power_of(action.place, channel),
                roi_um=action.roi_um,
            )
            yield tag.on(event)

    def _plane_um(self, z: int) -> float | None:
        if self._z_um is None:
            return None
        middle = (self.action.z_planes - 1) / 2
        return self._z_um + (z - middle) * self.action.z_step_um
