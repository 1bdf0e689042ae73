"""What of the survey would become data, where that is not all of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from smartscope.response import OwnPolicySettings, PreTriggerSettings
from smartscope.settings import places_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartscope.preflight.orders import Orders
    from smartscope.settings import Experiment


def wrong_storage(experiment: Experiment, orders: Orders) -> Iterator[str]:
    """Yield why nothing would be stored, or not the baseline that was asked for."""
    storage = experiment.storage
    if storage.survey == "all":
        return
    denoise = experiment.analysis.denoise
    if denoise is not None and denoise.store:
        yield (
            "analysis.denoise.store: the restored image of every analysed frame would "
            f"be stored, and of the survey's frames not all are (storage.survey: "
            f"{_survey_told(storage.survey)}). Leave 'store' out, or store 'all'; a "
            "stored frame can be denoised later."
        )
    hits = [p for p in experiment.response if isinstance(p, PreTriggerSettings)]
    own = any(isinstance(p, OwnPolicySettings) for p in experiment.response)
    if storage.survey == "on_hit":
        if not hits and not own:
            yield (
                "storage.survey: 'on_hit' stores what a policy asks for, and none "
                "does. Add {policy: pre_trigger, on: …} to the response, or store "
                "'all'."
            )
        if experiment.shadow:
            yield (
                "storage.survey: 'on_hit' in shadow would store nothing, because what "
                "is decided is not done. Store 'all', or leave shadow out."
            )
    if (there_mb := _memory_mb()) < storage.history_mb:
        yield (
            f"storage.history_mb: {storage.history_mb} MB are more than the "
            f"{there_mb:.0f} MB of memory that this computer has. Lower it."
        )
    longest = max((p.before for p in hits), default=-1) + 1
    if not longest:
        return
    need = longest * frames_per_visit(experiment, orders)
    if need > storage.history_frames:
        yield (
            f"storage.history_frames: {storage.history_frames} frames of a place wait "
            f"for a hit, and {longest} visits, the hit's among them, have {need:g}. "
            "Raise it, or ask for fewer visits before."
        )
    places = len(places_of(experiment.survey))
    need_mb = need * places * orders.bytes_per_frame / 1e6
    if need_mb > storage.history_mb:
        yield (
            f"storage.history_mb: {longest} visits to each of {places} places take "
            f"{need_mb:.0f} MB of memory, more than {storage.history_mb} MB. "
            "Raise it, or ask for fewer visits before."
        )


def _survey_told(survey: object) -> str:
    return f"'{survey}'" if isinstance(survey, str) else "every_nth"


def storage_notices(experiment: Experiment) -> Iterator[str]:
    """Yield what the user should know of what is not stored."""
    storage = experiment.storage
    asked = any(isinstance(p, PreTriggerSettings) for p in experiment.response)
    if storage.survey == "all":
        if asked:
            yield "Every frame of the survey is stored: 'pre_trigger' adds nothing."
        return
    if storage.survey == "on_hit":
        what = "Of the survey only what a hit asks for is stored"
    else:
        what = f"Of the survey one of {storage.nth} visits to each place is stored"
        what += ", and what a hit asks for" if asked else ""
    yield (
        f"{what} (storage.survey); light is charged for every frame. What waits in "
        "memory for a hit is not stored at the end of the run, or when it is broken "
        "off. A replay compares decisions up to the first frame that is not stored."
    )


def stored_mb(experiment: Experiment, orders: Orders, size_mb: float) -> float:
    """Return how much of a survey's size is stored whatever happens, and one hit's."""
    storage = experiment.storage
    if storage.survey == "all":
        return size_mb
    one_hit = max(
        (
            p.before + 1 + p.after
            for p in experiment.response
            if isinstance(p, PreTriggerSettings)
        ),
        default=0,
    )
    hit_mb = one_hit * frames_per_visit(experiment, orders) * orders.bytes_per_frame
    return min(size_mb, hit_mb / 1e6 + (size_mb / storage.nth if storage.nth else 0.0))


def frames_per_visit(experiment: Experiment, orders: Orders) -> float:
    """Return how many frames the survey takes at a place in a round, on average."""
    survey = experiment.survey
    planes = max(1, survey.sizes.get("z", 1))
    events = sum(
        (planes if channel.do_stack else 1) / channel.acquire_every
        for channel in survey.channels
    )
    return (events or planes) * len(orders.cameras)


def _memory_mb() -> float:
    """Return the memory of this computer; infinite where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return float("inf")
