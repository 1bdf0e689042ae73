"""``smartscope train detect``: labelled images in, a detector of outlines out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # the name it has everywhere
from torch import nn

from smartscope.pairs import Split
from smartscope.training.augment import drawn_patch
from smartscope.training.export import export
from smartscope.training.folder import held_in_memory
from smartscope.training.judge import LONGER_PX, best_cut, judged
from smartscope.training.labelled import Labelled, hashes, read_labelled, scaled
from smartscope.training.settings import StarSettings
from smartscope.training.sitting import Asked, MadeOf, Sitting, Trained
from smartscope.training.star_net import (
    GRID,
    STEP,
    StarNet,
    StarPackage,
    star_lengths,
)
from smartscope.training.star_targets import star_targets

SIZES = ("size", "rays")
_WEIGHT_OF_LENGTHS = 0.5
_SHORT_PX = 4.0  # errors of shorter rays do not count more
_ASKED = 0.35  # share of the points whose rays are followed


def train_detect(
    data: str | Path,
    out: str | Path,
    settings: StarSettings,
    **asked: Unpack[Asked],
) -> Trained:
    """Train a star-convex detector and make a package of it.

    After Schmidt et al., Cell detection with star-convex polygons (MICCAI 2018).

    Parameters
    ----------
    data : path
        Folder with ``images`` and ``labels``, files of the same name.
    out : path
        Folder to be made, as of ``train_denoise``.
    settings : StarSettings
        How.
    **asked
        See ``Asked``.

    Raises
    ------
    smartscope.errors.Refused
        If data or folder are not what they should be.
    smartscope.errors.BrokenOff
        If the loss is no number any more or memory is not enough.
    KeyboardInterrupt
        After the checkpoint is written; ``resume`` goes on with it.
    """
    data = Path(data)
    sitting = Sitting.opened(out, settings, SIZES, **asked)
    settings = sitting.settings
    with held_in_memory(data):
        parts = read_labelled(data, settings)
        task = Outlining(parts["train"], parts["validation"], settings)
    made_of = MadeOf(
        data,
        {part: len(images) for part, images in parts.items()},
        hashes([*parts["train"], *parts["validation"]]),
        {"test_sha256": hashes(parts["test"])},
    )
    learner = sitting.learned(task, made_of)
    net = learner.best_net()
    assert isinstance(net, StarNet)
    name = sitting.imprint.name or data.name
    judges: Split = "test" if parts["test"] else "validation"
    figures, cut = _chosen(net, name, settings, parts["validation"], parts[judges])
    figures = {"judged_on": judges, **figures}
    package = sitting.packed(
        partial(
            _export,
            net,
            card=_card(name, settings, *cut),
            longer_px=figures["longer_px"],
        ),
        name,
        sitting.record(made_of, learner.course, figures=figures),
        told=_figures_told(figures),
        limits=_LIMITS,
    )
    return Trained(package, learner.course, figures)


def _chosen(
    net: StarNet,
    name: str,
    settings: StarSettings,
    watching: Sequence[Labelled],
    judging: Sequence[Labelled],
) -> tuple[dict[str, Any], tuple[float, float]]:
    """Choose how to cut on what watched, and judge it on what was never seen."""
    with tempfile.TemporaryDirectory(prefix="smartscope_detector_") as folder:
        first = Path(folder) / "first"
        _export(net, first, _card(name, settings, 0.5, 0.4))
        cut = best_cut(first, watching)
        tried = {}
        for longer_px in LONGER_PX:
            first = Path(folder) / f"longer_{longer_px:g}"
            _export(net, first, _card(name, settings, *cut), longer_px)
            by_iou = judged(first, watching)["ap_by_iou"]
            tried[longer_px] = sum(by_iou.values())  # whose shape is right, too
        longer_px = max(tried, key=lambda px: tried[px])
        figures = {
            "threshold": cut[0],
            "nms_overlap": cut[1],
            "longer_px": longer_px,
            **judged(Path(folder) / f"longer_{longer_px:g}", judging),
        }
    return figures, cut


class Outlining:
    """To say of each point whether it lies in a thing, and how far its edge is.

    Parameters
    ----------
    train, watch : sequence of Labelled
        What is learned from, and what watches.
    settings : StarSettings
        Size of network, patches and batches.
    """

    def __init__(
        self,
        train: Sequence[Labelled],
        watch: Sequence[Labelled],
        settings: StarSettings,
    ) -> None:
        self._settings = settings
        self._images = {
            watched: [
                (scaled(o.image).astype(np.float16), o.labels, o.diameter_px)
                for o in of
            ]
            for watched, of in ((False, train), (True, watch))
        }

    def new(self) -> nn.Module:
        """Return a network that finds next to nothing."""
        return StarNet(self._settings.rays, self._settings.size)

    def batch(
        self, rng: np.random.Generator, *, watch: bool = False
    ) -> Sequence[npt.NDArray[Any]]:
        """Return images, probabilities, lengths, and which of these are known.

        Larger images are drawn more often, by the root of their area.
        """
        images, settings = self._images[watch], self._settings
        weights = np.sqrt([float(image.size) for image, _, _ in images])
        drawn = []
        for _ in range(settings.batch):
            which = int(rng.choice(len(images), p=weights / weights.sum()))
            image, labels, diameter_px = images[which]
            patch, own = drawn_patch(
                rng, image.astype(np.float32), labels, settings.patch_px, diameter_px
            )
            targets = star_targets(own, settings.rays, GRID, (rng, _ASKED))
            drawn.append(
                (patch[None], targets.probability[None], targets.lengths, targets.known)
            )
        return [np.stack([one[i] for one in drawn]) for i in range(4)]

    def loss(self, net: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return cross entropy of the probability plus the relative error of the rays.

        The entropy of the target is taken off, so that 0 is perfect. Errors of a ray
        count by its length, and by how deep in the thing it begins.
        """
        image, probability, lengths, known = batch
        made = net(image).float()
        entropy = F.binary_cross_entropy(probability, probability)
        cross = F.binary_cross_entropy_with_logits(made[:, :1], probability) - entropy
        weight = probability * known
        error = (star_lengths(made) - lengths).abs() / (lengths + _SHORT_PX)
        off = (weight * error).sum() / weight.sum().clamp(min=1.0)
        return cross + _WEIGHT_OF_LENGTHS * off


def _export(
    net: StarNet,
    out: Path,
    card: dict[str, Any],
    longer_px: float = 0.0,
    **more: Any,
) -> float:
    return export(
        StarPackage(net, longer_px),
        out,
        card,
        outputs=("probability", "rays"),
        around=(0.3, 0.3),
        **more,
    )


_LIMITS = (
    "Things of about 7 to 70 pixels across, brighter than their surroundings, whose "
    "outline can be seen from their middle. Not for stained tissue, phase contrast or "
    "bright field, unless it was trained on them."
)


def _figures_told(figures: dict[str, Any]) -> str:
    by_iou = figures["ap_by_iou"]
    return (
        f"On {figures['images']} images of the {figures['judged_on']} part, never "
        f"trained on, at threshold {figures['threshold']:g}: average precision TP / "
        f"(TP + FP + FN) {by_iou['0.5']:.3f} at IoU 0.5, {by_iou['0.7']:.3f} at 0.7, "
        f"{by_iou['0.9']:.3f} at 0.9; {figures['tp']} found, {figures['fp']} false, "
        f"{figures['fn']} missed. Mean of the images at 0.5: "
        f"{figures['ap_mean_of_images']:.3f}."
    )


def _card(
    name: str, settings: StarSettings, threshold: float, overlap: float
) -> dict[str, Any]:
    return {
        "name": name,
        "description": "Star-convex outlines of roundish things in fluorescence.",
        "axes": "bcyx",
        "output_axes": ["bcyx", "bcyx"],
        "step": STEP,
        "grid": GRID,
        "head": "stardist",
        "n_rays": settings.rays,
        "threshold": threshold,
        "nms_overlap": overlap,
        "normalisation": [
            {
                "id": "scale_range",
                "kwargs": {"min_percentile": 1.0, "max_percentile": 99.8},
            }
        ],
    }
