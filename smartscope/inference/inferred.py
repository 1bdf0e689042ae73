"""What comes out of the models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.inference.heads.peaks import Candidates

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """What the models made of one frame.

    The models look at the frame as it is, or brought to their own pixel size: `scale`
    maps what is given in pixels of the detecting model's image to pixels of the frame,
    `stride` what is given in pixels of its map; both by the rule of `map_to_frame`.

    Attributes
    ----------
    restored : np.ndarray or None
        Shape ``(Y, X)`` of the frame, float32; None without a denoising model, and
        where nobody keeps it.
    map : np.ndarray or None
        Shape ``(Y / stride, X / stride)``, float32, for the components head.
    candidates : Candidates or None
        For the peaks head, in pixels of the map.
    stride : tuple of float
        Frame pixels per pixel of the map.
    timings_ms : dict
        Of the parts: ``prepare`` (normalising and padding), ``denoise``, ``detect``. Of
        the fused graph: ``prepare`` (the Python around it) and ``detect`` (all of it).
    outputs : dict
        For the other heads, what they found, by the names of the head, in pixels of the
        model's image.
    scale : tuple of float
        Frame pixels per pixel of the model's image; 1 without resampling.
    cut : str
        In words, that so much was found that there may be more; ``""`` if not.
    """

    restored: Map | None
    map: Map | None
    candidates: Candidates | None
    stride: tuple[float, float]
    timings_ms: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    scale: tuple[float, float] = (1.0, 1.0)
    cut: str = ""
