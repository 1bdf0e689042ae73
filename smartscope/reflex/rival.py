"""An experiment as another detector would have seen it: nothing is done about it."""

from __future__ import annotations

from smartscope.inference import DetectSettings
from smartscope.recognition import looks_alone
from smartscope.settings import ControlsSettings, Experiment


def rival_of(
    experiment: Experiment, detect: DetectSettings, channel: str | None = None
) -> Experiment:
    """Return the experiment with another detector and without any policy.

    A detector that looks at single raw frames gets no denoising model, and of several
    channels the one given.

    Parameters
    ----------
    experiment : Experiment
        As it was or will be run.
    detect : DetectSettings
        What finds things.
    channel : str, optional
        The one that completes the sets of several; default: the last named.
    """
    analysis = experiment.analysis
    if looks_alone(detect.model):
        several = len(analysis.channels) > 1
        one = channel or (analysis.channels[-1] if several else None)
        analysis = analysis.model_copy(
            update={"denoise": None, **({"channel": one} if several else {})}
        )
    analysis = analysis.model_copy(update={"detect": detect, "rivals": ()})
    return experiment.model_copy(
        update={
            "analysis": analysis,
            "response": (),
            "controls": ControlsSettings(),
            "approve": None,
        }
    )
