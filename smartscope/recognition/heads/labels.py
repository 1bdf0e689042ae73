"""Labels: a label image becomes one row for each thing in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def number_labels(labels: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int32], int]:
    """Return the labels as 1 to n without gaps, in their order, and n.

    Parameters
    ----------
    labels : np.ndarray
        Whole numbers of any shape; 0 is background. Parts of one label that do not
        touch stay one thing.
    """
    names, numbered = np.unique(labels, return_inverse=True)
    first = 0 if len(names) and names[0] == 0 else 1
    return (numbered.reshape(labels.shape) + first).astype(np.int32), (
        len(names) - 1 + first
    )


def labels_in_frame(
    labels: npt.NDArray[np.int32], shape: tuple[int, int], stride: tuple[float, float]
) -> npt.NDArray[np.int32]:
    """Return labels of another pixel size in pixels of the frame, the nearest each.

    Parameters
    ----------
    labels : np.ndarray
        Shape of the map.
    shape : tuple of int
        Rows and columns of the frame.
    stride : tuple of float
        Frame pixels per pixel of the map.
    """
    if stride == (1.0, 1.0) and labels.shape == shape:
        return labels
    rows, columns = (
        ((np.arange(length) + 0.5) / step).astype(np.intp).clip(0, size - 1)
        for length, step, size in zip(shape, stride, labels.shape, strict=True)
    )
    nearest: npt.NDArray[np.int32] = labels[rows[:, None], columns]
    return nearest
