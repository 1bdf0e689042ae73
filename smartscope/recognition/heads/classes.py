"""Classes: the scores of a whole image become one thing, the field itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.recognition.heads.measure import Measured

Floats = npt.NDArray[np.float32]


def decode_classes(
    scores: npt.NDArray[Any], pixels: npt.NDArray[Any], threshold: float
) -> tuple[Floats, Floats, npt.NDArray[np.int32], Measured]:
    """Return the best class as one thing in the middle of the field.

    Nothing is returned if no class is above the threshold.

    Parameters
    ----------
    scores : np.ndarray
        Shape ``(classes,)``, in [0, 1]; of equal ones the first is taken.
    pixels : np.ndarray
        Shape ``(Y, X)`` of the frame, raw counts.
    threshold : float
        The best class is above it.

    Returns
    -------
    centers_px : np.ndarray
        Shape ``(n, 2)``, where n is 0 or 1.
    score : np.ndarray
        Shape ``(n,)``.
    class_id : np.ndarray
        Shape ``(n,)``, int32.
    measured : Measured
        Of the whole field: there is no background to take off.
    """
    best = int(scores.argmax())
    n = int(scores[best] > threshold)
    shape = np.asarray(pixels.shape, np.float32)
    box = np.concatenate([np.zeros(2, np.float32), shape])
    return (
        np.tile((shape - 1) / 2, (n, 1)),
        np.full(n, scores[best], np.float32),
        np.full(n, best, np.int32),
        Measured(
            np.full(n, shape.prod(), np.float32),
            np.tile(box, (n, 1)),
            np.full(n, pixels.mean(), np.float32),
        ),
    )
