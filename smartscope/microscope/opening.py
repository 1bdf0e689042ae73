"""Opens a microscope: its devices into a guarded core, all checked first."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pymmcore_plus import CMMCorePlus, DeviceType

from smartscope.acquisition import (
    GuardedCore,
    GuardedUniCore,
    Limits,
    camera_labels,
    differing,
    look_at_cameras,
)
from smartscope.errors import LimitBroken, Refused, nearest
from smartscope.microscope.calibration import Calibration
from smartscope.microscope.scope import Microscope
from smartscope.microscope.settings import (
    MicroscopeSettings,
    ObjectiveSettings,
    find_microscope,
    hardware_folder,
    read_microscope,
    validated,
)
from smartscope.simulation import (
    DEFAULT_OBJECTIVE,
    AutofocusCore,
    ObjectiveTruth,
    SpecimenSettings,
    simulate,
)


class SimulatedCore(GuardedUniCore, AutofocusCore):
    """The guard in front, the simulated autofocus behind it."""


def open_microscope(
    name_or_path: str | Path,
    *,
    specimen: Mapping[str, Any] | None = None,
    seed: int = 0,
    limits: Limits | None = None,
) -> Microscope:
    """Open a microscope: load its devices into a guarded core and arm it.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a shipped microscope, or path of its .toml.
    specimen : Mapping, optional
        What lies under a simulated microscope, field by field instead of what its file
        says (see ``SpecimenSettings``). A real one ignores it with a notice.
    seed : int
        Of the specimen and the noise; added to the seed in the file.
    limits : Limits, optional
        The experiment's; they can only tighten the microscope's.

    Returns
    -------
    Microscope
        A context manager.

    Raises
    ------
    smartscope.errors.Refused
        If the file, the specimen, the limits or the devices are not right. Nothing has
        moved then.
    """
    path = find_microscope(name_or_path)
    settings = read_microscope(path)
    try:
        merged = settings.limits.tightened(limits or Limits())
    except LimitBroken as e:
        raise Refused(e.what, rule=e.rule, way_out=e.way_out) from e
    if settings.kind == "simulated":
        return _open_simulated(path, settings, specimen or {}, seed, merged)
    notices = []
    if specimen:
        notices.append(
            f"The experiment's specimen ({', '.join(specimen)}) is ignored: "
            f"'{path.stem}' is not a simulated microscope."
        )
    return _open_micromanager(path, settings, merged, notices)


# -------------------------------------------------------------------- simulated


def _open_simulated(
    path: Path,
    settings: MicroscopeSettings,
    specimen: Mapping[str, Any],
    seed: int,
    limits: Limits,
) -> Microscope:
    simulation = settings.simulation
    given = simulation.specimen.model_dump(exclude_unset=True)
    merged = validated(
        SpecimenSettings, {**given, **specimen}, "The specimen of the experiment"
    )
    changes: dict[str, Any] = {"specimen": merged, "seed": simulation.seed + seed}
    if "orientation" not in simulation.optics.model_fields_set:
        # a file that gives both describes a microscope that was calibrated wrongly
        optics = {"orientation": settings.orientation}
        changes["optics"] = simulation.optics.model_copy(update=optics)
    if settings.slm is not None and simulation.slm.affine is None:
        modulator = {"affine": settings.slm.affine}
        changes["slm"] = simulation.slm.model_copy(update=modulator)
    told = {k: ObjectiveTruth(**_offsets(o)) for k, o in settings.objectives.items()}
    changes["objectives"] = {**told, **simulation.objectives}
    simulation = simulation.model_copy(update=changes)
    # a folder without adapters: the search for Micro-Manager, which this microscope
    # does not need, would end in a red message
    core = SimulatedCore(mm_path=str(hardware_folder()))
    try:
        simulated = simulate(
            core,
            simulation,
            objective=settings.objective or DEFAULT_OBJECTIVE,
            pixel_sizes_um=settings.pixel_size_um or None,
            buffer_mb=settings.camera.buffer_mb,
        )
        scope = Microscope(path.stem, settings, core, limits, simulated, [])
        return _checked(scope, path.parent)
    except BaseException:
        core.disarm()
        core.unloadAllDevices()
        raise


def _offsets(objective: ObjectiveSettings) -> dict[str, Any]:
    return objective.model_dump(include={"parfocal_um", "parcentric_um"})


# -------------------------------------------------------------------- Micro-Manager


def _open_micromanager(
    path: Path, settings: MicroscopeSettings, limits: Limits, notices: list[str]
) -> Microscope:
    if settings.cfg is None:
        raise Refused(
            f"{path} names no configuration of Micro-Manager.",
            rule="A microscope of kind 'micromanager' needs 'cfg'.",
            way_out='Add cfg = "<file>.cfg".',
        )
    cfg = path.parent / settings.cfg
    try:
        text = cfg.read_text(encoding="utf-8", errors="replace")
    except OSError as e:
        raise Refused(
            f"The configuration {cfg} cannot be read: {e.strerror}.",
            rule="'cfg' is relative to the microscope's file.",
            way_out="Correct 'cfg', or put the file there.",
        ) from e
    demo = "DemoCamera" in text
    if demo and importlib.util.find_spec("mm_test_adapters") is None:
        raise Refused(
            "Micro-Manager's demo devices are not installed (mm-test-adapters).",
            rule=f"The microscope '{path.stem}' consists of them.",
            way_out='Install the extra: pip install "smartscope[demo]".',
        )
    core = GuardedCore()
    try:
        try:
            core.loadSystemConfiguration(cfg)
        except (RuntimeError, OSError, ValueError) as e:
            raise Refused(
                f"Micro-Manager cannot load {cfg}: {e}",
                rule="A microscope starts with all its devices.",
                way_out="Check that the devices are switched on and their adapters "
                "installed ('mmcore install'), and that the file loads in "
                "Micro-Manager.",
            ) from e
        _calibrate(core, settings)
        _check_cameras(core, path.stem)
        core.setCircularBufferMemoryFootprint(settings.camera.buffer_mb)
        scope = Microscope(path.stem, settings, core, limits, None, notices)
        return _checked(scope, path.parent)
    except BaseException:
        core.disarm()
        core.unloadAllDevices()
        raise


def _calibrate(core: CMMCorePlus, settings: MicroscopeSettings) -> None:
    """Put the file's pixel sizes in the place of the configuration's."""
    if not settings.pixel_size_um:
        if settings.objective is not None:
            raise Refused(
                f"The objective '{settings.objective}' is named, and no pixel size.",
                rule="'objective' is one of those that pixel_size_um lists.",
                way_out="Give pixel_size_um for it, or remove 'objective' and let the "
                "configuration set the turret.",
            )
        return
    if (
        settings.objective is not None
        and settings.objective not in settings.pixel_size_um
    ):
        raise Refused(
            f"There is no pixel size for the objective '{settings.objective}'."
            f"{nearest(settings.objective, settings.pixel_size_um)}",
            rule="'objective' is one of those that pixel_size_um lists: "
            f"{', '.join(settings.pixel_size_um)}.",
            way_out="Correct 'objective', or give its pixel size.",
        )
    turrets = [
        str(device)
        for device in core.getLoadedDevicesOfType(DeviceType.State)
        if set(settings.pixel_size_um) <= set(core.getStateLabels(device))
    ]
    if not turrets:
        raise Refused(
            "No turret has the objectives "
            f"{', '.join(settings.pixel_size_um)} of pixel_size_um.",
            rule="Pixel sizes are given for the labels of the objective turret.",
            way_out="Take the labels as the configuration has them.",
        )
    for old in core.getAvailablePixelSizeConfigs():
        core.deletePixelSizeConfig(old)
    for label, size_um in settings.pixel_size_um.items():
        core.definePixelSizeConfig(label, turrets[0], "Label", label)
        core.setPixelSizeUm(label, size_um)
    stands = str(core.getStateLabel(turrets[0]))
    if settings.objective is not None and stands != settings.objective:
        raise Refused(
            f"The turret stands at '{stands}', the file says '{settings.objective}'.",
            rule="Opening a microscope turns no turret: an objective could hit the "
            "sample.",
            way_out="Turn it by hand, let the configuration do it, or change "
            "'objective'.",
        )


# -------------------------------------------------------------------- checks


def _check_cameras(core: CMMCorePlus, name: str) -> None:
    """Refuse cameras that cannot expose together, before a buffer is made for them."""
    if not core.getCameraDevice():
        return  # told with what else a microscope needs
    cameras = look_at_cameras(core)
    if not cameras:
        raise Refused(
            f"'{core.getCameraDevice()}' of '{name}' stands for no camera.",
            rule="Frames come from the core's camera.",
            way_out="Set its physical cameras in the configuration.",
        )
    if differs := differing(cameras):
        raise Refused(
            f"The cameras of '{name}' differ: {differs}.",
            rule="Cameras that expose together give images of one size.",
            way_out="Set the same size, ROI, binning and pixel type for all.",
        )


def _checked(scope: Microscope, base: Path) -> Microscope:
    """Refuse what could not be used: nothing has moved yet."""
    core, settings = scope.core, scope.settings
    if not core.getCameraDevice():
        raise Refused(
            f"The microscope '{scope.name}' has no camera.",
            rule="Frames come from the core's camera.",
            way_out="Set the core's camera in its configuration.",
        )
    if not core.getPixelSizeUm() > 0:
        raise Refused(
            f"The pixel size of '{scope.name}' is {core.getPixelSizeUm():g} µm.",
            rule="Without a pixel size nothing in an image has a place on the stage.",
            way_out="Give pixel_size_um for the objective in the microscope's file.",
        )
    groups = [str(group) for group in core.getAvailableConfigGroups()]
    if settings.channel_group not in groups:
        raise Refused(
            f"'{scope.name}' has no group '{settings.channel_group}'."
            f"{nearest(settings.channel_group, groups)}",
            rule=f"channel_group is one of: {', '.join(groups)}.",
            way_out="Correct channel_group in the microscope's file.",
        )
    devices = [str(device) for device in core.getLoadedDevices()]
    named = [*settings.untrusted_busy, *(d for d, _, _ in settings.light.off)]
    if settings.light.power_property is not None:
        named.append(settings.light.power_property[0])
    if settings.slm is not None:
        named.append(settings.slm.device)
    for device in named:
        if device not in devices:
            raise Refused(
                f"'{scope.name}' has no device '{device}'.{nearest(device, devices)}",
                rule="untrusted_busy, light and slm name devices of the configuration.",
                way_out="Correct the name in the microscope's file.",
            )
    slm = settings.slm
    if slm is not None and core.getDeviceType(slm.device) != DeviceType.SLM:
        raise Refused(
            f"slm.device: '{slm.device}' of '{scope.name}' is no light modulator.",
            rule="'slm' names a device of the type SLM.",
            way_out="Correct the name in the microscope's file, or leave [slm] out.",
        )
    power = settings.light.power_property
    for device, prop, value in (
        *settings.light.off,
        *([(*power, None)] if power is not None else []),
    ):
        _check_setting(scope, device, prop, value)
    labels = camera_labels(core)
    if settings.camera.dark is not None and len(labels) > 1:
        raise Refused(
            f"camera.dark: '{scope.name}' has the cameras {', '.join(labels)}.",
            rule="A dark field is of one camera.",
            way_out="Leave it out, and give flat fields by camera.",
        )
    scope.calibration = Calibration.read(
        settings.camera.dark,
        settings.camera.flat,
        base=base,
        shape=scope.camera_shape(),
        channels=[*map(str, core.getAvailableConfigs(settings.channel_group)), *labels],
    )
    return scope


def _check_setting(
    scope: Microscope, device: str, prop: str, value: str | None
) -> None:
    """Refuse a setting that could only fail, and light that could not be put out."""
    core, key = scope.core, "off" if value is not None else "power_property"
    known = [str(name) for name in core.getDevicePropertyNames(device)]
    if prop not in known:
        raise Refused(
            f"light.{key}: the device '{device}' has no property '{prop}'."
            f"{nearest(prop, known)}",
            rule=f"Its properties are: {', '.join(known)}.",
            way_out="Correct the name in the microscope's file.",
        )
    if value is None:
        return
    allowed = [str(v) for v in core.getAllowedPropertyValues(device, prop)]
    wrong = bool(allowed) and value not in allowed
    if core.hasPropertyLimits(device, prop):
        low = core.getPropertyLowerLimit(device, prop)
        high = core.getPropertyUpperLimit(device, prop)
        allowed = [f"{low:g} to {high:g}"]
        try:
            wrong = not low <= float(value) <= high
        except ValueError:
            wrong = True
    if wrong:
        raise Refused(
            f"light.off: '{prop}' of '{device}' cannot be '{value}'.",
            rule=f"It can be: {', '.join(allowed)}.",
            way_out="Correct the value in the microscope's file: it puts the light "
            "out after every run.",
        )
