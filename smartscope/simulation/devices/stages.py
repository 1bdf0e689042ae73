"""The simulated stages: they take their time, settle, and do not land quite exactly."""

from __future__ import annotations

import math
import time

from pymmcore_plus import FocusDirection
from pymmcore_plus.experimental.unicore import StageDevice, XYStageDevice

from smartscope.simulation.devices.number_properties import NumberProperties
from smartscope.simulation.stand import Stand

_LONGEST_SEQUENCE = 2000
# creep as a share of the move, and what of it nobody can see any more
_LONGEST_CREEP = 0.1
_NEGLIGIBLE_UM = 0.01


class _Travel:
    """A straight move at constant speed, and then the time it takes to settle."""

    def __init__(self, start: tuple[float, ...]) -> None:
        self._start = self.target = start
        self._begin = 0.0
        self._travel_s = 0.0
        self._until = 0.0

    def go(
        self, stand: Stand, target: tuple[float, ...], speed: float, settle_s: float
    ) -> float:
        self._start = self.where(stand)
        self.target = target
        self._begin = time.perf_counter()
        self._travel_s = math.dist(self._start, target) / speed
        self._until = stand.takes(self._travel_s + settle_s)
        return self._until

    def jump(self, target: tuple[float, ...]) -> None:
        self._start = self.target = target
        self._until = 0.0

    def moving(self, stand: Stand) -> bool:
        return stand.busy(self._until)

    def where(self, stand: Stand) -> tuple[float, ...]:
        if not self.moving(stand):
            return self.target
        gone_s = time.perf_counter() - self._begin
        f = min(1.0, gone_s / self._travel_s) if self._travel_s > 0 else 1.0
        pairs = zip(self._start, self.target, strict=True)
        return tuple(a + f * (b - a) for a, b in pairs)


class XYStage(XYStageDevice):
    """A motorised stage with speed, settling time, creep and backlash.

    Backlash is the play of its drive: it follows what was ordered only when the play is
    taken up, so it lands half the play short on the side it came from. Creep: when it
    says it is there, it is still a little short on its way. What it says is measured:
    where it is, also on the way, but for the creep. Without an encoder it says where it
    was sent.

    Parameters
    ----------
    stand : Stand
        Whose time it takes.
    """

    def __init__(self, stand: Stand) -> None:
        super().__init__()
        self._stand = stand
        self._origin = (0.0, 0.0)
        self._ordered = (0.0, 0.0)
        self._travel = _Travel((0.0, 0.0))
        self._short = (0.0, 0.0)
        self._arrived_s = -math.inf
        play = stand.settings.ugliness.backlash_um
        self._play = play if isinstance(play, tuple) else (play, play)

    def where_um(self) -> tuple[float, float]:
        """Return where it is, or will be when its creep is over."""
        x, y = self._travel.where(self._stand)
        return x, y

    def exposed_um(self, later_s: float = 0.0) -> tuple[float, float]:
        """Return where it really is, or will be so many seconds later."""
        x, y = self.where_um()
        if self._short == (0.0, 0.0) or self.busy():
            return x, y
        since_s = max(0.0, self._stand.device_s() + later_s - self._arrived_s)
        left = math.exp(-since_s * 1000 / self._stand.settings.ugliness.creep_ms)
        if left * math.hypot(*self._short) < _NEGLIGIBLE_UM:
            return x, y
        return x - left * self._short[0], y - left * self._short[1]

    def busy(self) -> bool:
        """Return True until it has arrived and settled."""
        return self._travel.moving(self._stand)

    def get_position_um(self) -> tuple[float, float]:
        """Return where it says it is, from its origin."""
        measures = self._stand.settings.ugliness.encoder or self.busy()
        x, y = self.where_um() if measures else self._ordered
        return x - self._origin[0], y - self._origin[1]

    def set_position_um(self, x: float, y: float) -> None:
        """Send it to a place; it is busy until it has settled there."""
        if not (math.isfinite(x) and math.isfinite(y)):
            raise ValueError(f"The stage cannot go to ({x}, {y}) µm; it stays.")
        ugly = self._stand.settings.ugliness
        target = (x + self._origin[0], y + self._origin[1])
        moved = target != self._ordered
        self._ordered = target
        here = self.where_um()
        lands = (
            _with_play(here[0], target[0], self._play[0]),
            _with_play(here[1], target[1], self._play[1]),
        )
        settle_s = ugly.settle_ms / 1000 if moved else 0.0
        until = self._travel.go(self._stand, lands, ugly.stage_speed_um_per_s, settle_s)
        if not moved:
            return
        gone = (lands[0] - here[0], lands[1] - here[1])
        distance = math.hypot(*gone)
        if distance > 0 and ugly.creep_um > 0:
            share = min(ugly.creep_um / distance, _LONGEST_CREEP)
            self._short = (share * gone[0], share * gone[1])
            self._arrived_s = self._stand.over_s(until)
        if self._stand.autofocus is not None:
            self._stand.autofocus.moved(until)

    def set_relative_position_um(self, dx: float, dy: float) -> None:
        """Move it by so much from where it was last sent."""
        x, y = self._ordered
        self.set_position_um(x - self._origin[0] + dx, y - self._origin[1] + dy)

    def home(self) -> None:
        """Send it to the middle of the specimen."""
        self.set_position_um(-self._origin[0], -self._origin[1])

    def stop(self) -> None:
        """Leave it where it is now."""
        self._ordered = self.where_um()
        self._travel.jump(self._ordered)
        self._short = (0.0, 0.0)

    def set_origin_x(self) -> None:
        """Count x from here."""
        self._origin = (self._ordered[0], self._origin[1])

    def set_origin_y(self) -> None:
        """Count y from here."""
        self._origin = (self._origin[0], self._ordered[1])


def _with_play(here: float, ordered: float, play: float) -> float:
    """Return where an axis lands: it moves only once the play is taken up."""
    return min(max(here, ordered - play / 2), ordered + play / 2)


class ZStage(NumberProperties, StageDevice):
    """A focus drive; a rising position brings the objective toward the sample.

    It takes a sequence of positions, of which each frame of the camera triggers the
    next one.

    Parameters
    ----------
    stand : Stand
        Whose time it takes.
    """

    def __init__(self, stand: Stand) -> None:
        super().__init__()
        self._stand = stand
        self._origin_um = 0.0
        self._travel = _Travel((0.0,))
        self._sequence: tuple[float, ...] = ()
        self._next: int | None = None
        self.register_property(
            "UseSequences", default_value="Yes", allowed_values=("Yes", "No")
        )

    def where_um(self) -> float:
        """Return where the focus is, in µm above the specimen's plane at the start."""
        return self._travel.where(self._stand)[0]

    def busy(self) -> bool:
        """Return True until it has arrived and settled."""
        return self._travel.moving(self._stand)

    def get_position_um(self) -> float:
        """Return where it is, measured, from its origin."""
        return self.where_um() - self._origin_um

    def set_position_um(self, val: float) -> None:
        """Send it to a place; it is busy until it has settled there."""
        if not math.isfinite(val):
            raise ValueError(f"The focus cannot go to {val} µm; it stays.")
        ugly = self._stand.settings.ugliness
        target = (val + self._origin_um,)
        settle_s = ugly.settle_ms / 1000 if target != self._travel.target else 0.0
        self._travel.go(self._stand, target, ugly.z_speed_um_per_s, settle_s)

    def carry(self, by_um: float) -> None:
        """Be moved by the autofocus, at once; it says where it is then."""
        self._travel.jump((self.where_um() + by_um,))

    def set_relative_position_um(self, d: float) -> None:
        """Move it by so much from where it was last sent."""
        self.set_position_um(self._travel.target[0] - self._origin_um + d)

    def get_focus_direction(self) -> FocusDirection:
        """Return that a rising position goes toward the sample."""
        return FocusDirection.TowardSample

    def home(self) -> None:
        """Send it to the specimen's plane at the start."""
        self.set_position_um(-self._origin_um)

    def stop(self) -> None:
        """Leave it where it is now."""
        self._travel.jump((self.where_um(),))

    def set_origin(self) -> None:
        """Count from here."""
        self._origin_um = self._travel.target[0]

    # ---------------------------------------------------------------- sequences

    def get_sequence_max_length(self) -> int:
        """Return how many positions a sequence may have; 0 if switched off."""
        wanted = self.get_property_value("UseSequences")
        return _LONGEST_SEQUENCE if wanted == "Yes" else 0

    def send_sequence(self, sequence: tuple[float, ...]) -> None:
        """Take the positions of a sequence."""
        self._sequence = tuple(sequence)

    def start_sequence(self) -> None:
        """Let triggers advance it; the first one goes to the first position."""
        self._next = 0

    def stop_sequence(self) -> None:
        """Let triggers do nothing; it stays where it is."""
        self._next = None

    def trigger(self) -> None:
        """Go to the next position of the sequence, as a piezo does: at once."""
        if self._next is None or not self._sequence:
            return
        z_um = self._sequence[self._next % len(self._sequence)]
        self._next += 1
        self._travel.jump((z_um + self._origin_um,))
