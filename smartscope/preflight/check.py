"""The check before the start: all problems at once, or estimates of the run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import useq

from smartscope.errors import Refused
from smartscope.preflight.analysis import wrong_correction, wrong_detector
from smartscope.preflight.channels import wrong_channels
from smartscope.preflight.checked import Checked
from smartscope.preflight.controls import (
    burst_notices,
    chance_frames,
    dark_notices,
    wrong_audit,
    wrong_burst_controls,
    wrong_dark,
)
from smartscope.preflight.focus import (
    focus_frames,
    focus_light,
    wrong_focus,
    wrong_watched,
)
from smartscope.preflight.following import wrong_following
from smartscope.preflight.measured import wrong_measures, wrong_rivals
from smartscope.preflight.orders import Orders
from smartscope.preflight.output import wrong_output
from smartscope.preflight.properties import wrong_properties
from smartscope.preflight.reactions import (
    broken_limits,
    hasty,
    unscored,
    wrong_names,
    wrong_policies,
)
from smartscope.preflight.regions import wrong_regions
from smartscope.preflight.stimulation import stimulation_notices, wrong_stimulation
from smartscope.preflight.storage import (
    storage_notices,
    stored_mb,
    wrong_storage,
)
from smartscope.preflight.survey_walk import MOST_EVENTS, SurveyWalk, walk
from smartscope.preflight.visits import visit_notices, visits_mb, wrong_visits
from smartscope.response import BurstSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from smartscope.microscope import Microscope
    from smartscope.response import Target
    from smartscope.settings import Experiment


def check(
    experiment: Experiment,
    microscope: Microscope,
    out: Path | None = None,
    *,
    most_events: int = MOST_EVENTS,
    targets: Collection[Target] = (),
) -> Checked:
    """Find everything that can be known to fail; nothing moves, nothing is written.

    Parameters
    ----------
    experiment : Experiment
        What shall be done.
    microscope : Microscope
        Open, with the limits of the experiment; it is only asked.
    out : Path, optional
        The folder of the run; default: one under ``runs``.
    most_events : int
        Events of the survey that are looked at one by one.
    targets : collection of Target
        Where a person has pointed at before the run.

    Raises
    ------
    smartscope.errors.Refused
        If the experiment could not run on this microscope; every problem is told.
    """
    orders = Orders(microscope)
    notices = [
        *unscored(experiment, microscope),
        *hasty(experiment),
        *storage_notices(experiment),
    ]
    walked = walk(
        experiment.survey,
        orders,
        time_scale=float(getattr(microscope.clock, "scale", 1.0)),
        most_events=most_events,
        dark=experiment.dark_places(),
        channels=experiment.analysis.channels,
    )
    checked = _estimated(experiment, orders, walked, notices)
    problems = [
        *walked.told(),
        *_tiles_without_size(experiment.survey, orders, "survey"),
        *_other_cameras(experiment.survey, orders, "survey"),
        *_survey_as_a_whole(walked, orders, checked),
        *wrong_channels(experiment, orders, walked.channels, notices),
        *wrong_correction(experiment, microscope, walked.channels),
        *wrong_names(experiment),
        *wrong_measures(experiment, orders, walked.channels),
        *broken_limits(experiment, orders, walked.exposures_ms),
        *wrong_regions(experiment, microscope, orders),
        *wrong_properties(experiment, orders),
        *wrong_visits(experiment, microscope, orders, walked.exposures_ms),
        *wrong_policies(experiment),
        *wrong_focus(experiment, orders, walked),
        *wrong_watched(experiment, orders),
        *wrong_following(experiment, targets),
        *wrong_stimulation(experiment, microscope, orders, walked.channels),
        *wrong_dark(experiment, orders),
        *wrong_burst_controls(experiment),
        *wrong_audit(experiment, orders, walked),
        *wrong_storage(experiment, orders),
        *wrong_output(out, checked.need_mb),
    ]
    if _no_pixel_size(microscope):
        problems.append(
            f"The pixel size of '{microscope.name}' is 0 µm: nothing in an image has a "
            "place on the stage. Give pixel_size_um in the microscope's file."
        )
    else:
        problems += wrong_detector(experiment, microscope, orders, notices)
        problems += wrong_rivals(experiment, microscope)
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise Refused(
            f"'{experiment.name}' cannot run on '{microscope.name}':\n{listed}\n",
            rule="What is known to fail is not started.",
            way_out="Correct the experiment file, or choose another microscope.",
        )
    share = walked.frames / checked.frames if checked.frames else 1.0
    notices += visit_notices(experiment, microscope, walked.exposures_ms)
    notices += dark_notices(experiment, orders)
    notices += stimulation_notices(experiment)
    notices += burst_notices(experiment, orders, walked, share)
    # what the detector has said came last
    return replace(checked, notices=tuple(notices))


def _no_pixel_size(microscope: Microscope) -> bool:
    """Return whether the microscope does not know the size of its pixels."""
    return not microscope.core.getPixelSizeUm() > 0


def _survey_as_a_whole(
    walked: SurveyWalk, orders: Orders, checked: Checked
) -> list[str]:
    problems = []
    if not walked.frames and walked.whole:
        problems.append(
            "survey: it takes no frame. Give it channels, stage_positions or a "
            "time_plan."
        )
    most = orders.limits.light_ms_percent
    for place, light in checked.light_ms_percent.items():
        if most is not None and light > most:
            problems.append(
                f"survey: place {place} would get {light:g} ms·% of light, more than "
                f"limits.light_ms_percent {most:g}."
            )
    return problems


def _tiles_without_size(
    survey: useq.MDASequence, orders: Orders, where: str
) -> Iterator[str]:
    """Yield grids that do not say how far apart their tiles are: useq takes 1 µm."""
    grid = survey.grid_plan
    if isinstance(grid, _GRIDS) and None in (grid.fov_width, grid.fov_height):
        width, height = orders.field_um
        yield (
            f"{where}.grid_plan: give fov_width and fov_height, the size of a tile in "
            f"µm; the field of view is {width:g} by {height:g} here."
        )
    for i, position in enumerate(survey.stage_positions):
        if position.sequence is not None:
            below = f"{where}.stage_positions.{i}.sequence"
            yield from _tiles_without_size(position.sequence, orders, below)


def _other_cameras(
    survey: useq.MDASequence, orders: Orders, where: str
) -> Iterator[str]:
    """Yield channels that ask for another camera than the one there is."""
    for i, channel in enumerate(survey.channels):
        if channel.camera in (None, orders.camera):
            continue
        if channel.camera in orders.cameras:
            yield (
                f"{where}.channels.{i}.camera: {' and '.join(orders.cameras)} expose "
                f"together, so a channel cannot be taken by '{channel.camera}' alone. "
                "Leave it out, or make one of them the core's camera."
            )
        else:
            yield (
                f"{where}.channels.{i}.camera: frames come from '{orders.camera}', the "
                f"core's camera; '{channel.camera}' is not used."
            )
    for i, position in enumerate(survey.stage_positions):
        if position.sequence is not None:
            below = f"{where}.stage_positions.{i}.sequence"
            yield from _other_cameras(position.sequence, orders, below)


_GRIDS = (
    useq.GridRowsColumns,
    useq.GridFromEdges,
    useq.GridWidthHeight,
    useq.GridFromPolygon,
)


def _estimated(
    experiment: Experiment, orders: Orders, walked: SurveyWalk, notices: list[str]
) -> Checked:
    share = 1.0
    if not walked.whole:
        total = _events_of(experiment, walked.events)
        share = walked.events / total
        notices.append(
            f"The first {walked.events} events of the survey were checked one by one; "
            f"the estimates are scaled up to about {total}."
        )
    frames = round(walked.frames / share) * len(orders.cameras)
    size_mb = frames * orders.bytes_per_frame / 1e6
    size_mb = stored_mb(experiment, orders, size_mb)
    # how many bursts there will be is not known, but one of them must fit
    burst = max(
        (p.frames for p in experiment.response if isinstance(p, BurstSettings)),
        default=0,
    )
    burst_mb = burst * len(orders.cameras) * orders.bytes_per_frame / 1e6
    chance = chance_frames(experiment, walked) / share * len(orders.cameras)
    burst_mb += chance * orders.bytes_per_frame / 1e6
    burst_mb += visits_mb(experiment, orders)
    swept = focus_frames(experiment, walked) / share * len(orders.cameras)
    burst_mb += swept * orders.bytes_per_frame / 1e6
    sweeps = focus_light(experiment, orders, walked)
    restored_mb = _restored_mb(experiment, orders, frames)
    return Checked(
        frames=frames,
        duration_s=walked.duration_s / share,
        size_mb=size_mb,
        need_mb=size_mb + burst_mb + restored_mb + experiment.storage.reserve_mb,
        light_ms_percent={
            place: (light + sweeps.get(place, 0.0)) / share
            for place, light in walked.light_ms_percent.items()
        },
        events_checked=walked.events,
        whole=walked.whole,
        notices=tuple(notices),
    )


def _restored_mb(experiment: Experiment, orders: Orders, frames: int) -> float:
    """Return how much disk the restored images of a survey take, as float32."""
    analysis = experiment.analysis
    if analysis.denoise is None or not analysis.denoise.store:
        return 0.0
    # of named channels one image of each exposure is restored, else every frame
    channels = max(1, len(experiment.survey.channels)) * len(orders.cameras)
    share = channels if analysis.channel is not None else 1
    return frames / share * orders.pixels_per_frame * 4 / 1e6


def _events_of(experiment: Experiment, at_least: int) -> int:
    """Return how many events a survey has that is too long to be counted."""
    total = 1
    for size in experiment.survey.sizes.values():
        total *= max(1, size)
    return max(total, at_least + 1)
