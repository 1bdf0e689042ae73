"""What the experiment would do about what it sees: names that fit, within limits."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from smartscope.errors import Refused, nearest
from smartscope.recognition import OF_TRACKS, Lost, Split
from smartscope.response import (
    AdaptExposureSettings,
    BurstSettings,
    NotifySettings,
    OwnPolicySettings,
    SeriesSettings,
    load_policy,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from smartscope.microscope import Microscope
    from smartscope.preflight.orders import Orders
    from smartscope.settings import Experiment


def wrong_names(experiment: Experiment) -> Iterator[str]:
    """Yield names that no occurrence has: in ``on``, ``after`` and ``truth_map``."""
    occurrences = experiment.analysis.occurrences
    for i, policy in enumerate(experiment.response):
        for key in ("on", "until", "calm"):
            for word in getattr(policy, key, ()):
                if word not in occurrences:
                    yield f"response.{i}.{key}: {_unknown(word, occurrences)}"
    for name, occurrence in occurrences.items():
        after = occurrence.after if isinstance(occurrence, Split | Lost) else None
        where = f"analysis.occurrences.{name}.after"
        if after is None:
            continue
        if after not in occurrences:
            yield f"{where}: {_unknown(after, occurrences)}"
        elif not isinstance(occurrences[after], OF_TRACKS):
            yield (
                f"{where}: '{after}' is of kind '{occurrences[after].kind}'; a "
                f"{occurrence.kind} can come after one about a single track only, such "
                "as 'brighten'."
            )
    mapped: Mapping[str, str] = experiment.specimen.get("truth_map") or {}
    for kind, name in mapped.items():
        if name not in occurrences:
            yield f"specimen.truth_map.{kind}: {_unknown(name, occurrences)}"


def unscored(experiment: Experiment, microscope: Microscope) -> Iterator[str]:
    """Yield a notice if a truth file was given and nothing of it is looked for."""
    truth = microscope.truth() if experiment.specimen.get("truth") else None
    looked_for = set(experiment.analysis.occurrences)
    if truth is not None and truth.names and not looked_for & set(truth.names.values()):
        yield (
            f"Nothing will be scored: the truth holds {', '.join(truth.names)}, and no "
            "occurrence of analysis.occurrences is called so. specimen.truth_map says "
            "which is which, such as {" + next(iter(truth.names)) + ": division}."
        )


def hasty(experiment: Experiment) -> Iterator[str]:
    """Yield a notice if the survey would run away from its decisions."""
    virtual = experiment.specimen.get("time") == "virtual"
    if virtual and experiment.mode == "free_run" and experiment.policies:
        yield (
            "In virtual time nothing takes long, and with mode: free_run the survey "
            "does not wait for decisions: most come rounds late, or are stale, and "
            "differ from run to run. With mode: synchronized they come in time."
        )


def _unknown(word: str, known: Collection[str]) -> str:
    listed = f"It has: {', '.join(known)}." if known else "It has none."
    return (
        f"'{word}' is no occurrence of analysis.occurrences.{nearest(word, known)} "
        f"{listed}"
    )


def broken_limits(
    experiment: Experiment, orders: Orders, exposures_ms: Collection[float]
) -> Iterator[str]:
    """Yield responses that could only be refused by the limits.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    orders : Orders
        What the microscope can be told.
    exposures_ms : Collection of float
        Of the survey's frames; a burst without one takes that of the frame.
    """
    limits = orders.limits
    for i, policy in enumerate(experiment.response):
        where = f"response.{i}"
        if isinstance(policy, BurstSettings):
            most = limits.burst_frames
            frames = policy.frames * policy.frames_each
            if most is not None and frames > most:
                yield (
                    f"{where}.frames: a burst of {frames} frames is longer than "
                    f"limits.burst_frames {most}."
                )
            if policy.channel and (wrong := orders.channel(policy.channel)):
                yield f"{where}.channel: {wrong}"
            for channel in policy.channels:
                if wrong := orders.channel(channel):
                    yield f"{where}.channels: {wrong}"
            if policy.z_planes > 1 and (wrong := orders.z()):
                yield f"{where}.z_planes: {wrong}"
            if policy.exposure_ms is not None and (
                wrong := orders.within("exposure_ms", policy.exposure_ms)
            ):
                yield f"{where}.exposure_ms: {wrong}"
            yield from _too_bright(policy, where, orders, exposures_ms)
        elif isinstance(policy, SeriesSettings):
            for channel in policy.channels:
                if wrong := orders.channel(channel):
                    yield f"{where}.channels: {wrong}"
            if policy.exposure_ms is not None and (
                wrong := orders.within("exposure_ms", policy.exposure_ms)
            ):
                yield f"{where}.exposure_ms: {wrong}"
            if policy.z_planes > 1 and (wrong := orders.z()):
                yield f"{where}.z_planes: {wrong}"
            yield from _too_bright_visit(policy, where, orders, exposures_ms)
        elif isinstance(policy, AdaptExposureSettings):
            low, high = policy.exposure_ms
            if low > high:
                yield f"{where}.exposure_ms: must be [shortest, longest]."
            yield from _wrong_power(policy, where, orders)
            # its default range is clipped by the arbiter, one that was given is meant
            if "exposure_ms" in policy.model_fields_set:
                for exposure_ms in (low, high):
                    if wrong := orders.within("exposure_ms", exposure_ms):
                        yield f"{where}.exposure_ms: {wrong}"


def _wrong_power(
    policy: AdaptExposureSettings, where: str, orders: Orders
) -> Iterator[str]:
    low, high = policy.power_percent
    if low > high:
        yield f"{where}.power_percent: must be [lowest, highest]."
    if policy.prefer != "power":
        return
    if not orders.has_power:
        yield (
            f"{where}.prefer: the microscope cannot set the power of its light. Name "
            "light.power_property in its file, or prefer the exposure."
        )
    elif "power_percent" in policy.model_fields_set:
        for power in (low, high):
            if wrong := orders.within("power_percent", power):
                yield f"{where}.power_percent: {wrong}"


def _too_bright(
    policy: BurstSettings,
    where: str,
    orders: Orders,
    exposures_ms: Collection[float],
) -> Iterator[str]:
    exposure_ms = policy.exposure_ms or min(exposures_ms, default=0.0)
    light = sum(
        policy.frames * policy.z_planes * exposure_ms * orders.power_percent("", name)
        for name in policy.channels or (policy.channel or "",)
    )
    for limit in orders.light_limits_below(light):
        yield f"{where}: a single burst gives {light:g} ms·%, more than {limit}."


def _too_bright_visit(
    policy: SeriesSettings,
    where: str,
    orders: Orders,
    exposures_ms: Collection[float],
) -> Iterator[str]:
    exposure_ms = policy.exposure_ms or min(exposures_ms, default=0.0)
    light = sum(
        policy.z_planes * exposure_ms * orders.power_percent("", channel)
        for channel in policy.channels or ("",)
    )
    for limit in orders.light_limits_below(light):
        yield (
            f"{where}: a single visit of the series gives {light:g} ms·%, more than "
            f"{limit}."
        )


def wrong_policies(experiment: Experiment) -> Iterator[str]:
    """Yield policies of one's own that cannot be made."""
    for i, policy in enumerate(experiment.response):
        if isinstance(policy, OwnPolicySettings):
            try:
                load_policy(policy)
            except Refused as e:
                yield f"response.{i}: {_said(e)}"
        if isinstance(policy, NotifySettings) and (wrong := _uncallable(policy.call)):
            yield f"response.{i}.call: {wrong}"


def _uncallable(call: str) -> str:
    """Return why a function cannot be called, or ``''``; foreign code may raise."""
    module, _, name = call.partition(":")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except (Exception, SystemExit) as e:  # noqa: BLE001 told as the user's mistake
        return f"'{module}' cannot be imported ({type(e).__name__}: {e})."
    return "" if callable(found) else f"'{module}' has no function '{name}'."


def _said(error: Refused) -> str:
    return " ".join(s for s in (error.what, error.rule, error.way_out) if s)
