"""Whether what is to be measured and told of tracks can be known at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartscope.errors import SmartscopeError, nearest
from smartscope.recognition import Feature, Lost, ModelDetector, load_detector
from smartscope.reflex import looked_at, rival_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from smartscope.microscope import Microscope
    from smartscope.preflight.orders import Orders
    from smartscope.settings import Experiment

# policies that follow cells, or may
_FOLLOWING = ("follow", "series")


def wrong_measures(
    experiment: Experiment, orders: Orders, taken: Collection[str]
) -> Iterator[str]:
    """Yield occurrences and ratios that could never come to be.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    orders : Orders
        What the microscope can be told.
    taken : Collection of str
        Presets in which the survey takes frames.
    """
    analysis = experiment.analysis
    for name, occurrence in analysis.occurrences.items():
        where = f"analysis.occurrences.{name}"
        if isinstance(occurrence, Feature):
            if occurrence.value == "ratio" and analysis.ratio is None:
                yield (
                    f"{where}.value: no ratio is measured. Name its channels in "
                    "analysis.ratio, such as {numerator: FITC, denominator: DAPI}."
                )
        elif isinstance(occurrence, Lost):
            yield from _wrong_loss(experiment, occurrence, where)
    yield from _wrong_ratio(experiment, orders, taken)


def _wrong_loss(experiment: Experiment, lost: Lost, where: str) -> Iterator[str]:
    most = experiment.analysis.track.max_missed + 1
    if lost.missed > most:
        yield (
            f"{where}.missed: a track ends when it has been missed {most} times. Set "
            f"at most {most}, or a larger analysis.track.max_missed."
        )
    words = {policy.policy for policy in experiment.response}
    if lost.after is None and not any(
        word in _FOLLOWING or ":" in word for word in words
    ):
        yield (
            f"{where}: no policy follows anything, so nothing is chosen. Add 'follow' "
            "or 'series' to the response, or give 'after'."
        )


def _wrong_ratio(
    experiment: Experiment, orders: Orders, taken: Collection[str]
) -> Iterator[str]:
    analysis = experiment.analysis
    if analysis.ratio is None:
        return
    presets = {preset or orders.preset for preset in taken}
    cameras = set(orders.cameras) if len(orders.cameras) > 1 else set()
    known = [*sorted(p for p in presets if p), *sorted(cameras)]
    for key in ("numerator", "denominator"):
        name = getattr(analysis.ratio, key)
        if name not in known:
            yield (
                f"analysis.ratio.{key}: the survey takes no frame in '{name}'."
                f"{nearest(name, known)} It takes: {', '.join(known) or 'no channel'}."
            )
    order = [c.config for c in experiment.survey.channels]
    found_in = [c for c in analysis.channels if c in order] or order[-1:]
    both = [c for c in analysis.ratio.channels if c in order]
    if not found_in or len(both) < len(analysis.ratio.channels):
        return
    last = max(map(order.index, found_in))
    for name in both:
        if order.index(name) > last:
            yield (
                f"analysis.ratio: '{name}' is taken after {' and '.join(found_in)}, in "
                "which things are found, and nobody waits for it. Put it before them "
                "in survey.channels."
            )


def wrong_rivals(experiment: Experiment, microscope: Microscope) -> Iterator[str]:
    """Yield why a detector to compare with cannot be loaded or does not fit.

    Parameters
    ----------
    experiment : Experiment
        With the rivals.
    microscope : Microscope
        Whose camera takes the frames.
    """
    calibration = microscope.calibration if experiment.analysis.correct else None
    for i, detect in enumerate(experiment.analysis.rivals):
        rival = rival_of(experiment, detect)
        analysis = rival.analysis
        try:
            detector = load_detector(
                analysis.detect,
                analysis.denoise,
                channels=analysis.channels,
                corrections=calibration.corrections if calibration else None,
                unverified=analysis.unverified,
            )
            if isinstance(detector, ModelDetector):
                presets = [c.config for c in rival.survey.channels]
                together = looked_at(
                    analysis.channels, presets, calibration is not None
                )
                for channels in together:
                    detector.warm_up(microscope.empty_frame(), channels)
        except SmartscopeError as e:
            said = " ".join(s for s in (e.what, e.rule, e.way_out) if s)
            yield f"analysis.rivals.{i}: {said}"
