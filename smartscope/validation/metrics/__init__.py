"""How near to the truth: images, masks, centres, occurrences, tracks.

From scikit-image, scipy and py-ctcmetrics where they have it; each docstring gives the
definition and its source.
"""

from smartscope.validation.metrics.occurrences import score_movie
from smartscope.validation.metrics.resolution_scaled import (
    ResolutionScaled,
    resolution_scaled,
)
from smartscope.validation.metrics.restoration import (
    Affine,
    affine_fit,
    data_range,
    fitted,
    mse,
    nrmse,
    pearson,
    psnr,
    restoration,
    ssim,
    ssim_map,
)
from smartscope.validation.metrics.segmentation import (
    THRESHOLDS,
    Matched,
    average_precision,
    dice,
    hausdorff,
    iou,
    iou_matrix,
    match,
    match_centres,
    match_points,
)
from smartscope.validation.metrics.tracking import Tracked, score_tracks
from smartscope.validation.scoring import score_occurrences

__all__ = [
    "THRESHOLDS",
    "Affine",
    "Matched",
    "ResolutionScaled",
    "Tracked",
    "affine_fit",
    "average_precision",
    "data_range",
    "dice",
    "fitted",
    "hausdorff",
    "iou",
    "iou_matrix",
    "match",
    "match_centres",
    "match_points",
    "mse",
    "nrmse",
    "pearson",
    "psnr",
    "resolution_scaled",
    "restoration",
    "score_movie",
    "score_occurrences",
    "score_tracks",
    "ssim",
    "ssim_map",
]
