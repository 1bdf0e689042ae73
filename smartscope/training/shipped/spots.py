"""The shipped detector ``spots``: diffraction-limited spots over busy grounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from smartscope.training.heat import HeatData, HeatWords, train_heat
from smartscope.training.heat_source import shown
from smartscope.training.learning import Course
from smartscope.training.settings import HeatSettings
from smartscope.training.spot_source import SIGMA_PX, SNR, SpotSource
from smartscope.trial import Finds, finds, tuned_log

STEPS = 3500
LEVELS = (2.0, 3.0, 5.0, 10.0, 30.0)
"""SNR of the median spot of the images that it is judged on."""

_IMAGES, _EDGE_PX, _DISTANCE_PX = 24, 256, 2.5
# other scenes, other noise than those that are learned from or watch
_JUDGING = 1009
_LIMITS = (
    "Bright spots with a standard deviation of about 0.8 to 3 pixels, apart by 3 "
    "pixels or 2.2 of these deviations, on grounds of cells, haze or fibres; trained "
    "on simulated images alone, never tried on real ones whose spots somebody had "
    "marked. Spots so dim that a filter of their shape would see them with less than "
    "6 times its noise are not asked for. Filaments, membranes and nuclei were shown "
    "as images without spots: rings and larger vesicles are not found, or as several. "
    "The largest spots score less than small ones, most of all in a frame with "
    "something far brighter: there a lower threshold finds more of them. "
    "Of one frame at most 2048 are told. It knows no pixel size."
)


def make(
    out: Path,
    *,
    minutes: float = 15.0,
    seed: int = 0,
    told: Callable[[Course], None] | None = None,
) -> dict[str, Any]:
    """Train it on simulated images and judge it at several levels of noise.

    Parameters
    ----------
    out : Path
        Folder of the training.
    minutes : float
        Of training, at most.
    seed : int
        Of weights and images.
    told : Callable, optional
        Called after each look at validation.

    Returns
    -------
    dict
        Precision, recall and F1, of all and ``by_snr``; those of the detector ``log``
        on the same images beside them.

    Raises
    ------
    smartscope.errors.Refused
        If the folder is not what it should be.
    """
    settings = HeatSettings(
        patch_px=96,
        batch=8,
        steps=STEPS,
        minutes=minutes,
        every=200,
        patience=STEPS,
        seed=seed,
        grid=1,
        least_noise=0.001,
        most_contrast=100.0,
        spread_px=1.0,
        distance_px=_DISTANCE_PX,
    )
    source = SpotSource(seed)
    source.prepare()
    words = HeatWords(
        card={
            "description": "Diffraction-limited spots in fluorescence, as peaks.",
            "classes": ["spot"],
            "radius_um": 0.3,
        },
        limits=_LIMITS,
        measured=lambda package, threshold: _by_snr(package, threshold, seed),
        told=_told,
    )
    return train_heat(
        HeatData(
            source,
            Path("simulated spots"),
            judged_on="simulated test",
            images={"scenes to train on": source.scenes},
        ),
        out,
        settings,
        words=words,
        name="spots",
        authors=("smartscope",),
        license_id="BSD-3-Clause",
        told=told,
    ).figures


def _by_snr(package: Path, threshold: float, seed: int) -> dict[str, Any]:
    by_snr = {}
    for level in LEVELS:
        images = shown(
            SpotSource(seed + _JUDGING, level), seed + _JUDGING, _IMAGES, _EDGE_PX
        )
        log = tuned_log(images, _DISTANCE_PX)
        by_snr[f"{level:g}"] = {
            **finds(package, images, _DISTANCE_PX).at(threshold),
            "f1_of_tuned_log": Finds.joined(log.found).at(log.threshold)["f1"],
        }
    return {"by_snr": by_snr, "images_by_snr": _IMAGES}


def _told(figures: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"| {level} | {one['precision']:.3f} | {one['recall']:.3f} | {one['f1']:.3f} | "
        f"{'–' if one['error_px'] is None else format(one['error_px'], '.2f')} | "
        f"{one['f1_of_tuned_log']:.3f} |"
        for level, one in figures["by_snr"].items()
    )
    low, high = SIGMA_PX
    return (
        f"By noise, {figures['images_by_snr']} images of {_EDGE_PX} × {_EDGE_PX} each, "
        "drawn from seeds never used for training: SNR is the height of the median "
        "spot above its ground over the noise of the pixel at its top; spots have "
        f"a standard deviation of {low:g} to {high:g} pixels. Beside it a Laplacian of "
        "a Gaussian, which needs no net, with the width and threshold that find the "
        "most on these very images, chosen for each SNR; the model has one threshold "
        "for all.\n\n"
        "| SNR | precision | recall | F1 | error, pixels | F1 of the tuned filter |\n"
        f"|---|---|---|---|---|---|\n{rows}\n\n"
        f"It was trained on spots of SNR {SNR[0]:g} to {SNR[1]:g}, cameras of 8 to 16 "
        "bits with read noise, offset, fixed pattern and excess noise drawn widely."
    )
