"""The turret of objectives: the microscope's file checked against its devices."""

from __future__ import annotations

from pymmcore_plus import CMMCorePlus, DeviceType

from smartscope.acquisition import Limits, Objective, TurretRules
from smartscope.errors import Refused, nearest
from smartscope.microscope.settings import MicroscopeSettings


def turret_rules(core: CMMCorePlus, settings: MicroscopeSettings) -> TurretRules | None:
    """Return when the turret turns; None if there is none, or nothing real to guard.

    Parameters
    ----------
    core : CMMCorePlus
        With its devices.
    settings : MicroscopeSettings
        Its file.

    Raises
    ------
    smartscope.errors.Refused
        If objectives are described that no turret has, or it may turn and it is not
        said how.
    """
    turret, described = settings.turret, settings.objectives
    wanted = set(described) | set(settings.pixel_size_um)
    if settings.kind == "simulated" and not described and not turret.may_turn:
        return None
    known = {
        str(device): [str(label) for label in core.getStateLabels(device)]
        for device in core.getLoadedDevicesOfType(DeviceType.State)
    }
    fitting = [device for device, labels in known.items() if wanted <= set(labels)]
    guessed = [str(device) for device in core.guessObjectiveDevices()]
    devices = [d for d in guessed if d in fitting] or (fitting if wanted else [])
    if not devices:
        if not described and not turret.may_turn:
            return None
        labels = [label for device in guessed for label in known.get(device, ())]
        odd = next((label for label in described if label not in labels), "")
        raise Refused(
            f"objectives: no turret has the objectives {', '.join(described)}."
            f"{nearest(odd, labels)}",
            rule="Objectives are called as the turret's labels: "
            f"{', '.join(labels) or 'there is no turret'}.",
            way_out="Take the labels as the configuration has them.",
        )
    device = devices[0]
    start = settings.objective or str(core.getStateLabel(device))
    objectives = {
        label: Objective(
            pixel_size_um=settings.pixel_size_um.get(label, 0.0),
            parfocal_um=one.parfocal_um,
            parcentric_um=one.parcentric_um,
            limits=Limits(x_um=one.x_um, y_um=one.y_um, z_um=one.z_um),
        )
        for label, one in described.items()
    }
    size_um = settings.pixel_size_um.get(start, 0.0)
    objectives.setdefault(start, Objective(pixel_size_um=size_um))
    moved = objectives[start]
    if moved.parfocal_um or moved.parcentric_um != (0.0, 0.0):
        raise Refused(
            f"objectives: '{start}' is the objective at the start and has offsets.",
            rule="Offsets are from the objective at the start.",
            way_out="Set its offsets to 0, and give the others theirs.",
        )
    if turret.may_turn:
        _check_turning(settings)
    return TurretRules(device, objectives, turret.may_turn, turret.safe_z_um)


def _check_turning(settings: MicroscopeSettings) -> None:
    if settings.turret.safe_z_um is None:
        raise Refused(
            "turret.may_turn: it is not said where the focus goes meanwhile.",
            rule="The focus is away from the sample while the turret turns.",
            way_out="Give turret.safe_z_um.",
        )
    if settings.focus_direction is None:
        raise Refused(
            "turret.may_turn: the focus direction of this microscope is not known.",
            rule="The focus is away from the sample while the turret turns.",
            way_out="Set focus_direction in the microscope's file.",
        )
    spans = [("limits.z_um", settings.limits.z_um)]
    spans += [
        (f"objectives.'{k}'.z_um", one.z_um) for k, one in settings.objectives.items()
    ]
    z_um = settings.turret.safe_z_um
    for where, span in spans:
        if span is not None and not span[0] <= z_um <= span[1]:
            raise Refused(
                f"turret.safe_z_um: {z_um:g} is outside {where} {list(span)}.",
                rule="No order may leave the limits of the microscope.",
                way_out="Choose a height inside them, or widen them.",
            )
