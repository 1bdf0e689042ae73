"""The focus: that it can be looked for as the experiment says, within the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartscope.recognition import AutofocusUnlocked, Property
from smartscope.response import AutofocusPolicySettings
from smartscope.settings import has_autofocus_plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from smartscope.preflight.orders import Orders
    from smartscope.preflight.survey_walk import SurveyWalk
    from smartscope.response import FocusHow
    from smartscope.settings import Experiment


def wrong_focus(
    experiment: Experiment, orders: Orders, walked: SurveyWalk
) -> Iterator[str]:
    """Yield what of the focus cannot be: devices, channels, limits, light."""
    focus = experiment.focus
    if focus is not None:
        if has_autofocus_plan(experiment.survey):
            yield (
                "focus: the survey has an autofocus_plan, which says when to focus, "
                "too. Leave one of them out."
            )
        yield from _wrong_how(focus, "focus", orders, walked)
    for i, policy in enumerate(experiment.response):
        if isinstance(policy, AutofocusPolicySettings):
            yield from _wrong_how(policy, f"response.{i}", orders, walked)


def _wrong_how(
    how: FocusHow, where: str, orders: Orders, walked: SurveyWalk
) -> Iterator[str]:
    if wrong := orders.z():
        yield f"{where}: {wrong}"
        return
    if how.method == "hardware":
        if wrong := orders.autofocus():
            yield f"{where}.method: {wrong}"
        return
    span = orders.limits.z_um
    if span is not None:
        low, high = span
        beyond = sorted(
            z for z in walked.z_um if z - how.range_um < low or z + how.range_um > high
        )
        if beyond:
            yield (
                f"{where}.range_um: a sweep of ±{how.range_um:g} µm about the survey's "
                f"z {beyond[0]:g} µm would leave limits.z_um {low:g} to {high:g}."
            )
    if how.channel is not None and (wrong := orders.channel(how.channel)):
        yield f"{where}.channel: {wrong}"
    if how.exposure_ms is not None and (
        wrong := orders.within("exposure_ms", how.exposure_ms)
    ):
        yield f"{where}.exposure_ms: {wrong}"
    most, light = orders.limits.light_ms_percent, _sweep_light(how, orders, walked)
    if most is not None and light > most:
        yield (
            f"{where}: a single sweep gives {light:g} ms·%, more than "
            f"limits.light_ms_percent {most:g}."
        )


def _sweep_light(how: FocusHow, orders: Orders, walked: SurveyWalk) -> float:
    """Return the light of one sweep of images, in ms × %."""
    exposure_ms = how.exposure_ms or min(walked.exposures_ms, default=0.0)
    return how.order.frames * exposure_ms * orders.power_percent("", how.channel or "")


def focus_frames(experiment: Experiment, walked: SurveyWalk) -> int:
    """Return how many images of sweeps the survey orders, as far as it was walked."""
    focus = experiment.focus
    if focus is None:
        return 0
    return focus.order.frames * sum(
        -(-rounds // focus.rounds) for rounds in walked.rounds.values()
    )


def focus_light(
    experiment: Experiment, orders: Orders, walked: SurveyWalk
) -> Mapping[str, float]:
    """Return the light of the sweeps that the survey orders, by position, ms × %."""
    focus = experiment.focus
    if focus is None:
        return {}
    each = _sweep_light(focus, orders, walked)
    light: dict[str, float] = {}
    for place, rounds in walked.rounds.items():
        position = place.partition("g")[0]
        # of overlapping tiles the most exposed spot is not known: that of one of them
        sweeps = -(-rounds // focus.rounds)
        light[position] = max(light.get(position, 0.0), sweeps * each)
    return light


def wrong_watched(experiment: Experiment, orders: Orders) -> Iterator[str]:
    """Yield occurrences about devices that are not there, or say no numbers."""
    for name, occurrence in experiment.analysis.occurrences.items():
        where = f"analysis.occurrences.{name}"
        if isinstance(occurrence, AutofocusUnlocked) and (wrong := orders.autofocus()):
            yield f"{where}: {wrong}"
        if isinstance(occurrence, Property) and (
            wrong := orders.property(occurrence.device, occurrence.property)
            or orders.not_a_number(occurrence.device, occurrence.property)
        ):
            yield f"{where}: {wrong}"
