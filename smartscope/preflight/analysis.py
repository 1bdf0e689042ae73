"""Whether what looks at the frames can be loaded and fits them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartscope.errors import SmartscopeError, nearest
from smartscope.recognition import ModelDetector, load_detector

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from smartscope.microscope import Microscope
    from smartscope.settings import Experiment


def wrong_channel(
    experiment: Experiment, microscope: Microscope, taken: Collection[str]
) -> Iterator[str]:
    """Yield what is wrong with the channel to analyse: no frame is taken in it."""
    channel = experiment.analysis.channel
    now = str(microscope.core.getCurrentConfig(microscope.channel_group))
    channels = {preset or now for preset in taken}
    if channel is None or channel in channels:
        return
    named = sorted(c for c in channels if c)
    yield (
        f"analysis.channel: the survey takes no frame in '{channel}'."
        f"{nearest(channel, named)} It takes: {', '.join(named) or 'no channel'}."
    )


def wrong_detector(
    experiment: Experiment, microscope: Microscope, notices: list[str]
) -> Iterator[str]:
    """Yield why the detector cannot be loaded or does not fit the camera's frames.

    A model is warmed up on an empty frame. A detector of one's own is made and not
    called: it runs in the analysis process only.
    """
    analysis = experiment.analysis
    try:
        detector = load_detector(
            analysis.detect, analysis.denoise, unverified=analysis.unverified
        )
        if isinstance(detector, ModelDetector):
            detector.warm_up(microscope.empty_frame())
            notices += detector.notices
    except SmartscopeError as e:
        said = " ".join(s for s in (e.what, e.rule, e.way_out) if s)
        yield f"analysis: {said}"
