"""Regions of the camera that bursts and series read: possible, and fit to be seen."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smartscope.errors import SmartscopeError
from smartscope.response import BurstSettings, SeriesSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smartscope.microscope import Microscope
    from smartscope.preflight.orders import Orders
    from smartscope.recognition import ModelDetector
    from smartscope.settings import Experiment


def wrong_regions(
    experiment: Experiment, microscope: Microscope, orders: Orders
) -> Iterator[str]:
    """Yield regions of the camera that cannot be read, or not be looked at."""
    for i, policy in enumerate(experiment.response):
        if not isinstance(policy, BurstSettings | SeriesSettings):
            continue
        if policy.roi_um is None:
            continue
        where = f"response.{i}.roi_um"
        if len(orders.cameras) > 1:
            yield (
                f"{where}: {' and '.join(orders.cameras)} expose together and read all "
                "they can. Leave it out."
            )
        field_um = max(orders.field_um)
        if policy.roi_um > field_um > 0:
            yield (
                f"{where}: {policy.roi_um:g} µm is more than the field of "
                f"{field_um:g} µm. Leave it out to read all of it."
            )
        looked_at = _is_looked_at(experiment, policy)
        if looked_at and experiment.analysis.correct and microscope.calibration:
            yield (
                f"{where}: its frames are analysed, and the dark or flat field of the "
                "microscope is of the whole frame. Set analysis.correct to false"
                + (
                    "."
                    if isinstance(policy, SeriesSettings)
                    else ", or analysis.bursts."
                )
            )


def unfit_regions(
    experiment: Experiment,
    microscope: Microscope,
    detector: ModelDetector,
    together: Sequence[tuple[str, ...]],
) -> Iterator[str]:
    """Yield regions that are analysed and that the models cannot look at.

    Parameters
    ----------
    experiment : Experiment
        The experiment.
    microscope : Microscope
        Open.
    detector : ModelDetector
        Loaded; it looks at an empty frame of each size.
    together : Sequence of tuple of str
        Channels that are looked at together.
    """
    whole = microscope.empty_frame()
    for i, policy in enumerate(experiment.response):
        if not isinstance(policy, BurstSettings | SeriesSettings):
            continue
        if policy.roi_um is None or not _is_looked_at(experiment, policy):
            continue
        side_px = math.ceil(policy.roi_um / whole.state.pixel_size_um)
        rows, columns = (min(side_px, n) for n in whole.pixels.shape)
        part = replace(whole, pixels=np.zeros((rows, columns), whole.pixels.dtype))
        for channels in together:
            try:
                detector.warm_up(part, channels)
            except SmartscopeError as e:
                yield (
                    f"response.{i}.roi_um: {columns} x {rows} pixels do not fit the "
                    f"models: {e.what} Choose a larger region, or set "
                    "analysis.bursts to false."
                )


def _is_looked_at(
    experiment: Experiment, policy: BurstSettings | SeriesSettings
) -> bool:
    return isinstance(policy, SeriesSettings) or experiment.analysis.bursts
