"""Whether the controls of an experiment can tell what they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import useq

from smartscope.acquisition import EventTag
from smartscope.errors import nearest
from smartscope.recognition import OF_TRACKS
from smartscope.response import StimulateSettings
from smartscope.settings import burst_policies, sham_policies

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartscope.preflight.orders import Orders
    from smartscope.preflight.survey_walk import SurveyWalk
    from smartscope.settings import Experiment

# share of a dark field that fields beside it may cover
_OVERLAP = 0.01


def wrong_dark(experiment: Experiment, orders: Orders) -> Iterator[str]:
    """Yield why dark fields would not stay dark, or would never be looked at."""
    if experiment.controls.dark is None:
        return
    where, survey = "controls.dark", experiment.survey
    used = [a for a in survey.axis_order if a in survey.used_axes]
    if used[:1] != ["t"] or survey.sizes.get("t", 0) < 2:
        yield (
            f"{where}: dark fields are lit in the survey's last round, and it has no "
            "rounds. Give it a time_plan of at least 2 loops, and 't' first in "
            "axis_order."
        )
        return
    at = _positions(survey, orders)
    dark = experiment.dark_places()
    for name in sorted(dark - at.keys()):
        yield (
            f"{where}: the survey has no place '{name}'.{nearest(name, at)} It has: "
            f"{', '.join(list(at)[:20])}."
        )
    if at.keys() <= dark:
        yield f"{where}: all places are dark; leave at least one to survey."
        return
    width, height = orders.field_um
    for name in sorted(dark & at.keys()):
        x, y = at[name]
        for lit, (x_lit, y_lit) in at.items():
            if lit in dark:
                continue
            across = max(0.0, width - abs(x - x_lit))
            along = max(0.0, height - abs(y - y_lit))
            share = across * along / (width * height)
            if share > _OVERLAP:
                yield (
                    f"{where}: '{name}' would not be dark: the field of '{lit}' covers "
                    f"{share:.0%} of it. Put them {width:g} by {height:g} µm apart."
                )
                break


def wrong_burst_controls(experiment: Experiment) -> Iterator[str]:
    """Yield placebo and sham that belong to no burst policy, and signs unknown."""
    controls = experiment.controls
    bursts = burst_policies((), experiment.response)
    shammed = sham_policies((), experiment.response)
    for key, each, known, kinds in (
        ("placebo", controls.placebo, tuple(bursts), "burst policy"),
        ("sham", controls.sham, tuple(shammed), "burst or stimulate policy"),
    ):
        if each is None:
            continue
        if not known:
            yield (
                f"controls.{key}: there is no {kinds} under 'response' that it "
                "could belong to."
            )
            continue
        for word in each.of:
            if word not in known:
                yield (
                    f"controls.{key}.of: '{word}' is no {kinds} of 'response'."
                    f"{nearest(word, known)} It has: {', '.join(known)}."
                )
    yield from _wrong_answer(experiment)
    occurrences = experiment.analysis.occurrences
    for word in controls.signs:
        if word not in occurrences:
            yield (
                f"controls.signs: '{word}' is no occurrence of analysis.occurrences."
                f"{nearest(word, occurrences)} It has: {', '.join(occurrences)}."
            )
    for word in controls.equal_light.of:
        if word not in occurrences:
            yield (
                f"controls.equal_light.of: '{word}' is no occurrence of "
                f"analysis.occurrences.{nearest(word, occurrences)} "
                f"It has: {', '.join(occurrences)}."
            )
    if controls.signs and controls.placebo is None and controls.sham is None:
        yield "controls.signs: it is for placebo and sham, and there is none of them."


def _wrong_answer(experiment: Experiment) -> Iterator[str]:
    """Yield why no cell could answer a stimulation by what sham names."""
    sham = experiment.controls.sham
    if sham is None or sham.answer is None:
        return
    where, known = "controls.sham.answer", experiment.analysis.occurrences
    if sham.answer not in known:
        yield (
            f"{where}: '{sham.answer}' is no occurrence of analysis.occurrences."
            f"{nearest(sham.answer, known)} It has: {', '.join(known)}."
        )
    elif not isinstance(known[sham.answer], OF_TRACKS):
        yield (
            f"{where}: '{sham.answer}' is of kind '{known[sham.answer].kind}', and an "
            "answer is one about a single track, such as 'flash'."
        )
    shammed = sham_policies(sham.of, experiment.response).values()
    if not any(isinstance(policy, StimulateSettings) for policy in shammed):
        yield f"{where}: it is for policies that stimulate, and sham is of none."


def wrong_audit(
    experiment: Experiment, orders: Orders, walked: SurveyWalk
) -> Iterator[str]:
    """Yield why audit looks could find nothing, or would only be refused."""
    audit = experiment.controls.audit
    if audit is None:
        return
    where, limits = "controls.audit", orders.limits
    if not experiment.analysis.occurrences:
        yield f"{where}: analysis.occurrences is empty, so a look could find nothing."
    if len(experiment.analysis.channels) > 1:
        yield (
            f"{where}: a look takes one channel, and analysis.channel names "
            f"{', '.join(experiment.analysis.channels)}, which are seen together."
        )
    most = limits.burst_frames
    if most is not None and audit.frames > most:
        yield (
            f"{where}.frames: a look of {audit.frames} frames is longer than "
            f"limits.burst_frames {most}."
        )
    if audit.exposure_ms is not None and (
        wrong := orders.within("exposure_ms", audit.exposure_ms)
    ):
        yield f"{where}.exposure_ms: {wrong}"
    exposure_ms = audit.exposure_ms or min(walked.exposures_ms, default=0.0)
    channel = next(iter(experiment.analysis.channels), "")
    light = audit.frames * exposure_ms * orders.power_percent("", channel)
    for name in ("light_ms_percent", "track_light_ms_percent"):
        bound = getattr(limits, name)
        if bound is not None and light > bound:
            yield (
                f"{where}: a single look gives {light:g} ms·%, more than "
                f"limits.{name} {bound:g}."
            )


def chance_frames(experiment: Experiment, walked: SurveyWalk) -> float:
    """Return how many frames looks and placebo bursts are expected to add.

    Those of the events that were walked; cool-down and limits may allow fewer.
    """
    controls, frames = experiment.controls, 0.0
    if controls.audit is not None:
        frames += controls.audit.share * controls.audit.frames
    if (placebo := controls.placebo) is not None:
        bursts = burst_policies(placebo.of, experiment.response).values()
        frames += placebo.share * sum(burst.frames for burst in bursts)
    return frames * _looks(experiment, walked)


def _looks(experiment: Experiment, walked: SurveyWalk) -> float:
    """Return how often the walked survey is looked at."""
    # frames of several channels are looked at together
    return walked.analysed / max(1, len(experiment.analysis.channels))


def burst_notices(
    experiment: Experiment, orders: Orders, walked: SurveyWalk, share: float
) -> Iterator[str]:
    """Yield what looks and placebo bursts will cost, and what would blur them.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    orders : Orders
        What the microscope can be told.
    walked : SurveyWalk
        Of its survey.
    share : float
        Which part of the survey was walked, by its events.
    """
    controls = experiment.controls
    looks = _looks(experiment, walked) / share
    if (audit := controls.audit) is not None:
        lasts_s = audit.frames * audit.interval_s
        yield (
            f"Audit: about {audit.share * looks:.0f} looks after {looks:.0f} visits, "
            f"{audit.frames} frames in {lasts_s:g} s each; of one place one at a time."
        )
    if (placebo := controls.placebo) is not None:
        for name, burst in burst_policies(placebo.of, experiment.response).items():
            number = placebo.share * looks
            exposure_ms = burst.exposure_ms or max(walked.exposures_ms, default=0.0)
            light = burst.frames * exposure_ms
            light *= orders.power_percent("", burst.channel or "")
            yield (
                f"Placebo of {name}: about {number:.0f} bursts in {looks:.0f} looks, "
                f"{light:g} ms·% each; cool-down and limits may allow fewer."
            )
    if controls.sham is not None and experiment.analysis.bursts:
        yield (
            "controls.sham: frames of bursts are analysed, so more is seen after "
            "bursts that are taken than after those that are withheld; "
            "analysis.bursts: false makes them alike."
        )
    drawn = [key for key in ("placebo", "sham", "audit") if getattr(controls, key)]
    if drawn and experiment.shadow:
        yield (
            f"controls.{', controls.'.join(drawn)}: in shadow nothing is granted, so "
            "there is nothing to compare."
        )


def dark_notices(experiment: Experiment, orders: Orders) -> Iterator[str]:
    """Yield which fields are dark, and which of them reactions could light."""
    dark = experiment.dark_places()
    if not dark:
        return
    yield f"Dark until the survey's last round: {', '.join(sorted(dark))}."
    at = _positions(experiment.survey, orders)
    width, height = orders.field_um
    # a reaction is centred on a thing, which lies in the field: half a field beyond
    near = [
        name
        for name in sorted(dark & at.keys())
        if any(
            abs(at[name][0] - x) < 1.5 * width and abs(at[name][1] - y) < 1.5 * height
            for lit, (x, y) in at.items()
            if lit not in dark
        )
    ]
    if near and experiment.response:
        yield (
            f"Reactions beside {', '.join(near)} may light them before their time; the "
            "summary leaves out those on which light fell. Put dark fields 1.5 fields "
            "away from lit ones."
        )


def _positions(
    survey: useq.MDASequence, orders: Orders
) -> dict[str, tuple[float, float]]:
    """Return where each place of the first round lies on the stage, µm."""
    at: dict[str, tuple[float, float]] = {}
    x, y, _ = orders.position_um
    for event in survey:
        if event.index.get("t", 0) > 0:
            break
        x = x if event.x_pos is None else event.x_pos
        y = y if event.y_pos is None else event.y_pos
        at.setdefault(EventTag.of_survey(event).place, (x, y))
    return at
