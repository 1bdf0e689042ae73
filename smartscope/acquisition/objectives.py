"""The objectives of a microscope: how they differ, and when a turret may turn.

Coordinates of events and frames are those of the start objective. What another one adds
to them is known here; the guarded core asks here whether a turn is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymmcore_plus import Keyword

from smartscope.acquisition.limits import Limits
from smartscope.errors import LimitBroken

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

    from smartscope.acquisition.guarded_core import GuardSettings


_REFUSED = "The turret was not turned."
# a focus drive that was sent to the safe height may say a little less
_REACHED_UM = 1.0


@dataclass(frozen=True, slots=True)
class Objective:
    """One objective, as the microscope's file describes it.

    Attributes
    ----------
    pixel_size_um : float
        Edge of an unbinned pixel in the specimen; 0 where it is not known.
    parfocal_um : float
        How far the focus drive goes from where the start objective is in focus, to be
        in focus with this one.
    parcentric_um : tuple of float
        How far the stage goes in x, y from where the start objective shows a point in
        its middle, to show it in the middle with this one.
    limits : Limits
        Its own ``x_um``, ``y_um`` and ``z_um``, of the stages.
    """

    pixel_size_um: float = 0.0
    parfocal_um: float = 0.0
    parcentric_um: tuple[float, float] = (0.0, 0.0)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class TurretRules:
    """When the turret turns, and to what.

    Attributes
    ----------
    device : str
        Label of the turret; ``""`` if there is none.
    objectives : Mapping
        Those that are described, by label, the start objective among them.
    may_turn : bool
        Whether it may turn at all while the microscope is guarded.
    safe_z_um : float or None
        Where the focus drive must be, or farther from the sample, while it turns.
    """

    device: str
    objectives: Mapping[str, Objective] = field(default_factory=dict)
    may_turn: bool = False
    safe_z_um: float | None = None

    def of(self, label: str) -> Objective:
        """Return an objective; one that is not described differs in nothing."""
        return self.objectives.get(label) or Objective()

    def retracted_um(self, z_um: float, toward: bool) -> float:
        """Return the height at which it may turn, coming from ``z_um``.

        Parameters
        ----------
        z_um : float
            Where the focus drive is.
        toward : bool
            A rising Z brings the objective toward the sample.
        """
        if self.safe_z_um is None:
            return z_um
        return min(z_um, self.safe_z_um) if toward else max(z_um, self.safe_z_um)


def check_turn(core: CMMCorePlus, guard: GuardSettings, prop: str, value: Any) -> None:
    """Raise LimitBroken if the turret may not turn to a state or label now."""
    rules = guard.turret
    if rules is None or prop not in (Keyword.State, Keyword.Label):
        return
    labels = [str(label) for label in core.getStateLabels(rules.device)]
    label = labels[int(float(value))] if prop == Keyword.State else str(value)
    now = str(core.getStateLabel(rules.device))
    if label == now:
        return
    if not rules.may_turn or rules.safe_z_um is None:
        raise LimitBroken(
            f"The turret is not turned from '{now}' to '{label}'.",
            rule="An objective could hit the sample: a turret turns only where the "
            "microscope's file says [turret] may_turn = true and safe_z_um.",
            way_out="Turn it by hand before the microscope is opened, or permit it.",
            state=_REFUSED,
        )
    if label not in rules.objectives:
        raise LimitBroken(
            f"The objective '{label}' is not described.",
            rule="The turret turns to objectives whose pixel size, offsets and limits "
            f"are known: {', '.join(rules.objectives)}.",
            way_out="Describe it under [objectives] of the microscope's file.",
            state=_REFUSED,
        )
    if guard.focus_direction is None or not core.getFocusDevice():
        raise LimitBroken(
            "The focus drive or its direction is not known.",
            rule="The turret turns when the objective is away from the sample.",
            way_out="Set focus_direction in the microscope's file, and the focus "
            "device in its configuration.",
            state=_REFUSED,
        )
    z_um = float(core.getPosition())
    toward = guard.focus_direction == "toward"
    if abs(rules.retracted_um(z_um, toward) - z_um) > _REACHED_UM:
        raise LimitBroken(
            f"The focus drive is at {z_um:.1f} µm: too near to the sample to turn the "
            "turret.",
            rule=f"It turns at safe_z_um = {rules.safe_z_um:g} or farther away.",
            way_out="Move the focus there first.",
            state=_REFUSED,
        )
    if core.getXYStageDevice():
        x_um, y_um = core.getXYPosition()
        _check(rules, label, "x_um", float(x_um))
        _check(rules, label, "y_um", float(y_um))


def check_own(
    core: CMMCorePlus,
    guard: GuardSettings,
    name: str,
    value: float,
) -> None:
    """Raise LimitBroken if a position is outside the limits of the objective in place.

    Parameters
    ----------
    core : CMMCorePlus
        The microscope.
    guard : GuardSettings
        With its turret.
    name : {"x_um", "y_um", "z_um"}
        Which.
    value : float
        Of the stage.
    """
    rules = guard.turret
    if rules is None or not rules.objectives:
        return
    _check(rules, str(core.getStateLabel(rules.device)), name, value)


def _check(rules: TurretRules, label: str, name: str, value: float) -> None:
    try:
        rules.of(label).limits.check(name, value)
    except LimitBroken as e:
        raise LimitBroken(
            f"With '{label}': {e.what}",
            rule="No order may leave the limits of the objective.",
            way_out="Change the order, or objectives in the microscope's file.",
            state=e.state,
        ) from e
