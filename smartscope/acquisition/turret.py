"""The turret during a run: which objective stands there, and what it adds.

It alone knows which objective the survey has, and turns; where the stages then go is
for ``orders``.
"""

from __future__ import annotations

from collections.abc import Callable

from smartscope.acquisition.burst import SequencedEvent
from smartscope.acquisition.guarded_core import GuardedCore, GuardedUniCore
from smartscope.acquisition.objectives import Objective, TurretRules
from smartscope.errors import LimitBroken

_NO_RULES = TurretRules("")


class Turret:
    """Turns to the objective an event asks for, and back for one that asks none.

    Parameters
    ----------
    core : GuardedCore or GuardedUniCore
        The microscope; it refuses a turn that is not permitted.

    Attributes
    ----------
    away : bool
        An event has turned it away from the objective of the survey.
    """

    def __init__(self, core: GuardedCore | GuardedUniCore) -> None:
        self._core = core
        self.begin()

    def begin(self) -> None:
        """Begin a run: the objective that stands there is that of the survey."""
        guard = self._core.guard
        rules = guard.turret if guard is not None else None
        self.rules = rules or _NO_RULES
        turrets = self._core.guessObjectiveDevices()
        guessed = str(turrets[0]) if turrets else None
        self.device: str | None = self.rules.device or guessed
        self.away = False
        self.forget()
        self._home = self.label()

    def forget(self) -> None:
        """Believe nothing: somebody else may have turned it."""
        self._label: str | None = None

    def label(self) -> str:
        """Return the label of the objective in place; ``""`` if there is no turret."""
        if self._label is None:
            device = self.device
            self._label = str(self._core.getStateLabel(device)) if device else ""
        return self._label

    @property
    def here(self) -> Objective:
        """The objective in place."""
        return self.rules.of(self.label()) if self.rules.objectives else Objective()

    def scale(self, asked: str | None) -> float:
        """Return the edge of the field with an objective over that of the survey's.

        1 where pixel sizes are not known.
        """
        if asked is None or asked == self._home:
            return 1.0
        theirs = self.rules.of(asked).pixel_size_um
        ours = self.rules.of(self._home).pixel_size_um
        return theirs / ours if theirs > 0 and ours > 0 else 1.0

    def wanted(self, asked: str | None) -> str | None:
        """Return what it has to be turned to; None if it stands right.

        An event that asks for none gets the objective of the survey back, if another
        event has turned it away.
        """
        if asked is None and not self.away:
            return None
        want = self._home if asked is None else asked
        return None if want == self.label() else want

    def to_stage(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Return where the stage goes to show a point in the middle."""
        dx, dy = self.here.parcentric_um
        return x_um + dx, y_um + dy

    def from_stage(self, x_um: float, y_um: float) -> tuple[float, float]:
        """Return the point in the middle, of a position of the stage."""
        dx, dy = self.here.parcentric_um
        return x_um - dx, y_um - dy

    def on_stage(self, event: SequencedEvent) -> SequencedEvent:
        """Return a triggered sequence as the stages are told it."""
        (dx, dy), dz = self.here.parcentric_um, self.here.parfocal_um
        return event.model_copy(
            update={
                "x_sequence": tuple(x + dx for x in event.x_sequence),
                "y_sequence": tuple(y + dy for y in event.y_sequence),
                "z_sequence": tuple(z + dz for z in event.z_sequence),
            }
        )

    def turn(
        self, label: str, await_move: Callable[[], None], wait: Callable[[], None]
    ) -> None:
        """Turn it, with the focus away from the sample.

        Parameters
        ----------
        label : str
            Of the objective.
        await_move : Callable
            Returns when one more move is allowed.
        wait : Callable
            Returns when no device is busy any more.

        Raises
        ------
        LimitBroken
            If it may not turn, or not to this one.
        """
        core, device = self._core, self.device
        if device is None or label not in core.getStateLabels(device):
            raise LimitBroken(
                f"There is no objective '{label}'.",
                rule="The turret's labels are the objectives.",
                way_out="Correct the name of the objective.",
                state="The turret was not turned.",
            )
        if self.rules.may_turn and core.getFocusDevice():
            guard, z_um = core.guard, float(core.getPosition())
            toward = guard is None or guard.focus_direction != "away"
            away_um = self.rules.retracted_um(z_um, toward)
            if away_um != z_um:
                await_move()
                core.setPosition(away_um)
                wait()
        self.away, self._label = True, None
        core.setStateLabel(device, label)
        self.away = label != self._home
        wait()
