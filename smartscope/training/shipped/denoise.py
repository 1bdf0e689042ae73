"""The shipped denoiser ``denoise``: any fluorescence image, counts that stay true."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from smartscope.errors import Refused
from smartscope.training.blind_net import STEP
from smartscope.training.export import export
from smartscope.training.general import GeneralDenoising, GeneralSettings
from smartscope.training.general_judge import Pair, judged, told_of, unseen
from smartscope.training.learning import Course
from smartscope.training.sitting import MadeOf, Sitting

NAME = "denoise"
STEPS = 27_000
_JUDGED = 70
_CARD: dict[str, Any] = {
    "name": NAME,
    "description": "Takes the noise from fluorescence images of any microscope; counts "
    "stay true.",
    "axes": "bcyx",
    "step": STEP,
}
_LIMITS = (
    "Single frames of fluorescence whose noise differs from pixel to pixel. Where that "
    "of neighbours is alike (resized images, slow detectors) much of it stays. With "
    "about one photon a pixel and less it leaves blots that are not there; a Gaussian "
    "is the better choice then. Detail as fine as the pixels, such as a test pattern "
    "beyond what optics resolve, is taken for noise. Structure that is weaker than the "
    "noise is smoothed away: its contrast is then too low, which is the best guess but "
    "not the truth. Patterns of the sensor and stripes are kept or half kept. It has "
    "learned what noise is from a simulation: 'smartscope validate denoise' says how "
    "it does on your sample. Not for bright field, phase contrast or colour."
)


def make(
    out: Path,
    *,
    data: Path | None = None,
    minutes: float = 95.0,
    seed: int = 0,
    told: Callable[[Course], None] | None = None,
    resume: bool = False,
    finish: bool = False,
    settings: GeneralSettings | None = None,
    judged_images: int = _JUDGED,
) -> dict[str, Any]:
    """Train it on drawn scenes and judge it on others.

    Parameters
    ----------
    out : Path
        Folder of the training.
    data : Path, optional
        TIFF of several frames of one thing that does not change, ``(T, Y, X)``: the
        first is restored and judged against the mean of the others. Nothing is learned
        from it.
    minutes : float
        Of training, at most.
    seed : int
        Of weights, scenes and cameras.
    told : Callable, optional
        Called after each look at validation.
    resume, finish : bool
        Go on with the checkpoint in `out`; with `finish` without another step.
    settings : GeneralSettings, optional
        How, in place of minutes and seed.
    judged_images : int
        Of each group that judges.

    Returns
    -------
    dict
        By group of images what ``general_judge.judged`` measures.

    Raises
    ------
    smartscope.errors.Refused
        If `out` exists, or there is nothing in it to go on with, or `data` is no such
        movie.
    smartscope.errors.BrokenOff
        If the loss is no number any more or memory is not enough.
    KeyboardInterrupt
        After the checkpoint is written; ``resume`` goes on with it.
    """
    repeats = None if data is None else _repeats(data)
    settings = settings or GeneralSettings(
        steps=STEPS, minutes=minutes, patience=STEPS, bfloat16=True, seed=seed
    )
    sitting = Sitting.opened(
        out,
        settings,
        (),
        name=NAME,
        authors=("smartscope",),
        license_id="BSD-3-Clause",
        resume=resume or finish,
        finish=finish,
        told=told,
    )
    settings = sitting.settings
    images = {"train": settings.scenes, "validation": max(1, settings.scenes // 8)}
    made_of = MadeOf(Path("drawn scenes"), images, (), {})
    learner = sitting.learned(GeneralDenoising(settings), made_of)
    net = learner.best_net()
    groups = unseen(judged_images)
    if repeats is not None:
        groups["real, never trained on"] = [repeats]
    with tempfile.TemporaryDirectory(prefix="smartscope_denoise_") as folder:
        first = Path(folder) / "first"
        export(net, first, _CARD, around=(500.0, 100.0))
        figures: dict[str, Any] = {
            name: judged(first, pairs) for name, pairs in groups.items()
        }
    sitting.packed(
        partial(export, net, card=_CARD, around=(500.0, 100.0)),
        NAME,
        sitting.record(made_of, learner.course, figures=figures),
        told=_figures(figures),
        limits=_LIMITS,
    )
    return figures


def _repeats(data: Path) -> Pair:
    try:
        frames = tifffile.imread(data)
    except (OSError, ValueError) as e:
        raise Refused(
            f"{data} cannot be read: {e}",
            rule="It is a TIFF.",
            way_out="Check the path, or leave it away.",
        ) from e
    if frames.ndim != 3 or len(frames) < 3:
        raise Refused(
            f"{data} has the shape {frames.shape}.",
            rule="Three frames and more of one thing, (T, Y, X), judge the model: the "
            "mean of all but the first stands for the truth.",
            way_out="Give such a movie, or none.",
        )
    frames = frames.astype(np.float32)
    return Pair(frames[0], frames[1:].mean(axis=0))


def _figures(figures: Mapping[str, Any]) -> str:
    groups = {name: f for name, f in figures.items() if isinstance(f, Mapping)}
    return (
        "PSNR after an affine fit to what the camera would give on average, mean over "
        "images of other seeds than those of the training, run as beside a camera. "
        "The Gaussian was tuned on each truth. Kinds of structure: `scenes` are of the "
        "kinds that were trained on, `faint` such with 1.5 to 8 photons a pixel at "
        "bright places, `resized` such whose noise is alike in neighbours, `spots` and "
        "`targets` (spokes, bars, rings) were drawn by other means, `microscope` are "
        "frames of smartscope's simulated microscope. Slope: of restored against true "
        "counts, median and 5th to 95th percentile, of images whose contrast is ten "
        "times their noise in variance; blocks are of 16 x 16 pixels.\n\n"
        f"{told_of(groups)}"
    )
