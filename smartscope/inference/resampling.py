"""Frames brought to the pixel size that a model was made for.

Linear interpolation with pixel centres at half integers; where the image becomes
smaller the triangle is widened by the same factor, so that nothing is left out
(antialias); beyond the edge its last pixel is repeated. In the graph it is ONNX's
Resize; here is the same in numpy.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.inference.graph import GraphTail

OPSET = 18
"""The first in which Resize has antialias."""

_TOLERATED = 1.1
_MOST = 8.0
_LEAST = 1 / 32


def resampled_shape(
    shape: tuple[int, int],
    pixel_size_um: float | None,
    wanted_um: float | None,
    name: str,
) -> tuple[int, int]:
    """Return the shape of frames after they are brought to a model's pixel size.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the frames.
    pixel_size_um, wanted_um : float or None
        Of the frames and of the model; if either is unknown, or they differ by a tenth
        at most, the frames stay as they are.
    name : str
        Of the model, for errors.

    Raises
    ------
    smartscope.errors.Refused
        If they are so far apart that one of them must be wrong.
    """
    if not pixel_size_um or not wanted_um:
        return shape
    ratio = pixel_size_um / wanted_um
    if 1 / _TOLERATED <= ratio <= _TOLERATED:
        return shape
    if not _LEAST <= ratio <= _MOST:
        raise Refused(
            f"The model {name} was made for {wanted_um:g} µm per pixel, and the frames "
            f"have {pixel_size_um:g}.",
            rule=f"Frames are made at most {_MOST:g} times as large, or "
            f"{1 / _LEAST:g} times as small.",
            way_out="Correct the pixel size of the microscope or of the model, take "
            "another objective, or set 'resample: false'.",
        )
    rows, columns = (max(1, round(n * ratio)) for n in shape)
    return rows, columns


def resample(
    image: npt.NDArray[Any], shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """Return an image ``(Y, X)`` as one of another shape, float32."""
    rows = _weights(image.shape[0], shape[0])
    columns = _weights(image.shape[1], shape[1])
    half = rows @ image.astype(np.float32)
    made: npt.NDArray[np.float32] = np.ascontiguousarray((columns @ half.T).T)
    return made


def append_resampling(
    tail: GraphTail,
    name: str,
    planes: int,
    shape: tuple[int, int],
    wanted: tuple[int, int],
) -> str:
    """Append the same to a graph in which ``(1, planes, Y, X)`` is the image."""
    if shape == wanted:
        return name
    sizes = tail.constant(np.asarray([1, planes, *wanted], np.int64))
    smaller = wanted[0] < shape[0] or wanted[1] < shape[1]
    return tail.node(
        "Resize",
        [name, "", "", sizes],
        mode="linear",
        coordinate_transformation_mode="half_pixel",
        antialias=int(smaller),
    )


@lru_cache(maxsize=16)
def _weights(length: int, wanted: int) -> Any:
    """Return how much of each pixel is in each new one, sparse ``(wanted, length)``."""
    from scipy.sparse import csr_array

    scale = length / wanted
    reach = max(1.0, scale)
    beyond = int(np.ceil(reach)) + 1
    places = np.arange(-beyond, length + beyond)
    centres = (np.arange(wanted) + 0.5) * scale - 0.5
    weights = np.maximum(0.0, 1.0 - np.abs(places - centres[:, None]) / reach)
    weights /= weights.sum(axis=1, keepdims=True)
    made = np.zeros((wanted, length), np.float32)
    for place, weight in zip(places.clip(0, length - 1), weights.T, strict=True):
        made[:, place] += weight.astype(np.float32)
    return csr_array(made)
