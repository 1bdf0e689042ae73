"""Loads the simulated devices, their groups and presets into a core."""

from __future__ import annotations

from pymmcore_plus.experimental.unicore import UniMMCore
from pymmcore_plus.experimental.unicore.devices._device_base import Device

from smartscope.simulation import demo_names
from smartscope.simulation.devices.autofocus import Autofocus
from smartscope.simulation.devices.camera import Camera
from smartscope.simulation.devices.light import Light, Shutter
from smartscope.simulation.devices.slm import Slm
from smartscope.simulation.devices.stages import XYStage, ZStage
from smartscope.simulation.devices.wheel import Wheel
from smartscope.simulation.stand import Stand

_PIXEL_CONFIG = "Objective in place"


def load_devices(
    core: UniMMCore, stand: Stand, *, objective: str, buffer_mb: int = 256
) -> None:
    """Load all devices of the simulated microscope into a core.

    At the end the 'FITC' preset is set, the shutters are closed, autoshutter is on and
    the stages stand at 0.

    Parameters
    ----------
    core : UniMMCore
        An empty core, guarded or not, that is not armed yet.
    stand : Stand
        What joins the devices.
    objective : str
        Label of the objective at the start.
    buffer_mb : int
        Size of the core's ring buffer.
    """
    stand.join(core)
    camera, light = Camera(stand), Light()
    xy, z = XYStage(stand), ZStage(stand)
    shutters = {
        name: Shutter(stand)
        for name in (demo_names.WHITE_SHUTTER, demo_names.LED_SHUTTER)
    }

    def turned(label: str) -> None:
        # pixel size configurations keyed to a Python turret are always 0: the one
        # without settings always holds and is rewritten
        core.setPixelSizeUm(_PIXEL_CONFIG, stand.pixel_sizes_um.get(label, 0.0))

    wheels = {
        name: Wheel(
            demo_names.wheel_labels(name),
            stand,
            turned if name == demo_names.OBJECTIVE else None,
            stand.settings.ugliness.turret_ms if name == demo_names.OBJECTIVE else None,
        )
        for name in demo_names.WHEELS
    }
    stand.xy, stand.z, stand.light = xy, z, light
    stand.wheels, stand.shutters = wheels, shutters

    devices: dict[str, Device] = {
        demo_names.CAMERA: camera,
        **wheels,
        demo_names.Z: z,
        demo_names.XY: xy,
        **shutters,
        demo_names.LIGHT: light,
    }
    if stand.settings.autofocus.present:
        stand.autofocus = autofocus = Autofocus(stand)
        devices[demo_names.AUTOFOCUS] = autofocus
    groups = {name: dict(presets) for name, presets in demo_names.GROUPS.items()}
    if stand.settings.slm.present:
        stand.slm = slm = Slm(stand)
        slm_shutter = Shutter(stand)
        shutters[demo_names.SLM_SHUTTER] = slm_shutter
        devices[demo_names.SLM_SHUTTER] = slm_shutter
        devices[demo_names.SLM] = slm
        groups["Channel"][demo_names.STIMULATION] = demo_names.stimulation_preset()
    for label, device in devices.items():
        core.loadPyDevice(label, device)
        core.initializeDevice(label)
    core.setCameraDevice(demo_names.CAMERA)
    core.setShutterDevice(demo_names.WHITE_SHUTTER)
    core.setFocusDevice(demo_names.Z)
    core.setXYStageDevice(demo_names.XY)
    if stand.settings.slm.present:
        core.setSLMDevice(demo_names.SLM)
    core.definePixelSizeConfig(_PIXEL_CONFIG)
    for group, presets in groups.items():
        for preset, settings in presets.items():
            for device_label, prop, value in settings:
                core.defineConfig(group, preset, device_label, prop, value)
    core.setStateLabel(demo_names.OBJECTIVE, objective)
    core.setConfig("Channel", "FITC")
    core.setChannelGroup("Channel")
    core.setAutoShutter(True)
    core.setCircularBufferMemoryFootprint(buffer_mb)
    core.updateSystemStateCache()
    core.waitForSystem()
