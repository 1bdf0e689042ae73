"""The shipped detector ``nuclei``: star-convex outlines in fluorescence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from smartscope.training.detect import train_detect
from smartscope.training.learning import Course
from smartscope.training.settings import StarSettings

STEPS = 21_000
_WATCHING = 0.05  # of the images; the cut is chosen on them


def make(
    out: Path,
    *,
    data: Path,
    minutes: float = 95.0,
    seed: int = 0,
    told: Callable[[Course], None] | None = None,
) -> dict[str, Any]:
    """Train it on labelled images and judge it on a fifth that it never saw.

    The shipped one is made of 485 fluorescence images of nuclei of the 2018 Data
    Science Bowl (BBBC038, CC0-1.0), their masks corrected by others since.

    Parameters
    ----------
    out : Path
        Folder of the training.
    data : Path
        With ``images`` and ``labels``.
    minutes : float
        Of training, at most.
    seed : int
        Of weights, patches and the split.
    told : Callable, optional
        Called after each look at validation.

    Returns
    -------
    dict
        Average precision and counts on the held-back images.

    Raises
    ------
    smartscope.errors.Refused
        If data or folder are not what they should be.
    """
    settings = StarSettings(
        steps=STEPS,
        minutes=minutes,
        every=250,
        patience=STEPS,
        bfloat16=True,
        validation=_WATCHING,
        seed=seed,
    )
    return train_detect(
        data,
        out,
        settings,
        name="nuclei",
        authors=("smartscope",),
        license_id="CC0-1.0",
        told=told,
    ).figures
