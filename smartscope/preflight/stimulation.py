"""Whether what shall be stimulated can be, and the survey stays apart from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartscope.response import StimulateSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from smartscope.microscope import Microscope
    from smartscope.preflight.orders import Orders
    from smartscope.settings import Experiment


def wrong_stimulation(
    experiment: Experiment,
    microscope: Microscope,
    orders: Orders,
    taken: Collection[str],
) -> Iterator[str]:
    """Yield why policies of kind 'stimulate' could only be refused, or would do harm.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    microscope : Microscope
        Open; it is only asked.
    orders : Orders
        What it can be told.
    taken : Collection of str
        Presets in which the survey takes frames; ``''`` where it sets none.
    """
    for i, policy in enumerate(experiment.response):
        if not isinstance(policy, StimulateSettings):
            continue
        where = f"response.{i}"
        if microscope.settings.slm is None:
            yield (
                f"{where}: '{microscope.name}' has no light modulator. Describe it "
                "under [slm] in the microscope's file: device, affine, intensity."
            )
        yield from _out_of_sight(policy, where, microscope)
        if "" in taken:
            yield (
                f"{where}: the survey takes frames without setting a channel, and they "
                f"would be taken with '{policy.channel}' after a stimulation. Name its "
                "channels."
            )
        if policy.channel in taken:
            yield (
                f"{where}.channel: the survey takes frames with '{policy.channel}', "
                "and the light modulator is dark then. Choose the preset that opens "
                "its own light path."
            )
        yield from _wrong_orders(policy, where, orders)


def _out_of_sight(
    policy: StimulateSettings, where: str, microscope: Microscope
) -> Iterator[str]:
    """Yield if no point of the field lies on the modulator."""
    slm = microscope.slm_map()
    if slm is None:
        return
    rows, columns = microscope.camera_shape()
    pixel_um = float(microscope.core.getPixelSizeUm())
    reach = 0.5 * pixel_um * (rows**2 + columns**2) ** 0.5
    _, found = slm.mask([([(0.0, 0.0)], reach)], (0.0, 0.0))
    if found == [0]:
        yield (
            f"{where}: nothing of the field lies on the light modulator "
            f"'{slm.device}', so nothing could be lit. Correct slm.affine in the "
            "microscope's file; 'smartscope calibrate slm' measures it."
        )


def _wrong_orders(
    policy: StimulateSettings, where: str, orders: Orders
) -> Iterator[str]:
    if wrong := orders.channel(policy.channel):
        yield f"{where}.channel: {wrong}"
    if wrong := orders.within("exposure_ms", policy.exposure_ms):
        yield f"{where}.exposure_ms: {wrong}"
    power = policy.power_percent
    if power is not None:
        if not orders.has_power:
            yield (
                f"{where}.power_percent: the microscope cannot set the power of its "
                "light. Name light.power_property in its file, or leave it out."
            )
        elif wrong := orders.within("power_percent", power):
            yield f"{where}.power_percent: {wrong}"
    limits = orders.limits
    most = limits.burst_frames
    if most is not None and policy.pulses > most:
        yield (
            f"{where}.pulses: {policy.pulses} pulses, with a frame each, are more than "
            f"limits.burst_frames {most}."
        )
    if power is None:
        power = orders.power_percent("", policy.channel)
    light = policy.pulses * policy.exposure_ms * power
    most_light = limits.track_light_ms_percent
    if most_light is not None and light > most_light:
        yield (
            f"{where}: a single stimulation gives a cell {light:g} ms·%, more than "
            f"limits.track_light_ms_percent {most_light:g}."
        )


def stimulation_notices(experiment: Experiment) -> Iterator[str]:
    """Yield what makes a comparison with sham stimulations weak."""
    sham = experiment.controls.sham
    if sham is None or sham.answer is None:
        return
    for policy in experiment.response:
        if isinstance(policy, StimulateSettings) and policy.target != "hit":
            yield (
                f"controls.sham: '{policy.label}' lights several cells at a time, "
                "which are withheld together: they are not independent, and the "
                "intervals are too narrow."
            )
