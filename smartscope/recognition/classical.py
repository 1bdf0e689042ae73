"""Detectors without a net, from scikit-image and SciPy, to see if one is needed.

They are named in the experiment file like a model (``detect: otsu``) and take their own
settings as ``options``. All measure against the noise that the frame itself shows, so
that an empty frame stays empty.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections import OrderedDict

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError

from smartscope.acquisition import Frame
from smartscope.errors import Refused, nearest
from smartscope.inference import DetectSettings
from smartscope.recognition.detections import Detections
from smartscope.recognition.heads.components import decode_components, label_components
from smartscope.recognition.placed import placed

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]

_PLACES = 512  # whose last frame is kept for the difference
_LEAST = 0.5  # counts: what rounding alone may do to a pixel
# the median of the absolute deviation of white noise is this share of its deviation
_OF_DEVIATION = 0.6745


class ClassicalOptions(BaseModel):
    """What all of them take as ``options``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    smooth_um: float = Field(
        0.7, ge=0, description="Standard deviation of the Gaussian that smooths first."
    )
    least_contrast: PositiveFloat = Field(
        6.0,
        description="A thing stands out by so many times the noise that is left after "
        "smoothing.",
    )


class AdaptiveOptions(ClassicalOptions):
    """Of ``adaptive``."""

    block_um: PositiveFloat = Field(
        40.0, description="Size of the neighbourhood that is the background."
    )


class BlobOptions(ClassicalOptions):
    """Of ``log``."""

    radius_um: PositiveFloat = Field(6.0, description="Of the blobs looked for.")


class Classical(ABC):
    """A detector that labels the things of a frame.

    Parameters
    ----------
    settings : DetectSettings
        ``min_area_um2``, ``min_distance_um`` (touching things are parted there) and
        ``options``.

    Raises
    ------
    smartscope.errors.Refused
        If an option is unknown or has a wrong value.
    """

    word = ""
    kind: type[ClassicalOptions] = ClassicalOptions

    def __init__(self, settings: DetectSettings) -> None:
        self._settings = settings
        try:
            self.options = self.kind.model_validate(settings.options)
        except ValidationError as e:
            raise _refused(self.word, self.kind, e) from e

    @property
    def sha256(self) -> str:
        """Hash of what it is set to, in place of weights."""
        told = f"{self.word} {self.options.model_dump_json()}"
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def models(self) -> dict[str, dict[str, str]]:
        """What the record of a run says of it."""
        return {"detect": {"name": self.word, "version": "", "sha256": self.sha256}}

    def warm_up(self, frame: Frame) -> None:
        """Look at a frame once, so that the first real one is as quick as the rest."""
        self.label(frame)

    def detect(self, frame: Frame, /) -> Detections:
        """Return the things in a frame."""
        contrast = self.label(frame)
        pixel_um = frame.state.pixel_size_um
        labels, n = self.parted(contrast, pixel_um)
        centers, score, measured = decode_components(
            labels, n, _as_score(contrast), frame.pixels, (1.0, 1.0)
        )
        return placed(
            frame,
            centers,
            score,
            measured,
            min_area_px=self._settings.min_area_um2 / pixel_um**2,
            labels=labels,
        )

    @abstractmethod
    def label(self, frame: Frame) -> Floats:
        """Return how far pixels stand out, ``(Y, X)``: 1 at the bound, more inside."""

    def parted(self, contrast: Floats, pixel_um: float) -> tuple[Labels, int]:
        """Label what stands out; touching things are parted by their shape."""
        apart = self._settings.min_distance_um
        return label_components(contrast, 1.0, apart and apart / pixel_um)

    def smooth(self, frame: Frame) -> tuple[Floats, float]:
        """Return the smoothed frame and the deviation of its noise.

        Of the noise in the raw frame a Gaussian of deviation s leaves
        1 / (2 s sqrt(pi)), for s > 0.5.
        """
        from scipy.ndimage import gaussian_filter

        sigma = self.options.smooth_um / frame.state.pixel_size_um
        image = frame.pixels.astype(np.float32)
        noise = _noise(image)
        if sigma < 0.5:
            return image, noise
        return gaussian_filter(image, sigma), noise / (2 * sigma * math.sqrt(math.pi))

    def edges(self, frame: Frame) -> Floats:
        """Return how much more noise there is after smoothing, ``(Y, X)``."""
        sigma = self.options.smooth_um / frame.state.pixel_size_um
        return _edges(frame.pixels.shape, 2 * sigma if sigma >= 0.5 else 0.0)


class Otsu(Classical):
    """One threshold for the frame, between its dark and its bright (Otsu, 1979)."""

    word = "otsu"

    def label(self, frame: Frame) -> Floats:
        """Bright against dark, if the two are farther apart than noise would be."""
        from skimage.filters import threshold_otsu

        smooth, noise = self.smooth(frame)
        if smooth.max() == smooth.min():
            return np.zeros_like(smooth)
        bound = float(threshold_otsu(smooth))  # type: ignore[no-untyped-call]
        dark, bright = smooth[smooth <= bound], smooth[smooth > bound]
        if not len(bright):
            return np.zeros_like(smooth)
        apart = float(np.median(bright)) - float(np.median(dark))
        if apart < max(self.options.least_contrast * noise, _LEAST):
            return np.zeros_like(smooth)
        background = float(np.median(dark))
        contrast: Floats = (smooth - background) / max(bound - background, _LEAST / 2)
        return contrast


class Adaptive(Classical):
    """Brighter than the neighbourhood by more than the noise."""

    word = "adaptive"
    kind = AdaptiveOptions

    def label(self, frame: Frame) -> Floats:
        """Against the mean of a block about each pixel."""
        from scipy.ndimage import uniform_filter

        assert isinstance(self.options, AdaptiveOptions)
        smooth, noise = self.smooth(frame)
        block = max(3, round(self.options.block_um / frame.state.pixel_size_um))
        above = smooth - uniform_filter(smooth, block, mode="reflect")
        bound = max(self.options.least_contrast * noise, _LEAST)
        contrast: Floats = above / bound / self.edges(frame)
        return contrast


class Blobs(Classical):
    """Blobs of a size: the Laplacian of a Gaussian."""

    word = "log"
    kind = BlobOptions

    def label(self, frame: Frame) -> Floats:
        """Response in the noise that the response itself shows.

        The scale that answers most to a disc of radius r is r / sqrt(2) (Lindeberg,
        IJCV 30, 1998).
        """
        from scipy.ndimage import gaussian_laplace

        assert isinstance(self.options, BlobOptions)
        image = frame.pixels.astype(np.float32)
        sigma = self.options.radius_um / frame.state.pixel_size_um / math.sqrt(2)
        # a large constant would be rounded
        response = -gaussian_laplace(image - np.median(image), sigma) * sigma**2
        # of white noise: deviation of the normalised Laplacian of a Gaussian
        noise = _noise(image) / (sigma * math.sqrt(2 * math.pi))
        bound = max(self.options.least_contrast * noise, _LEAST)
        contrast: Floats = (response / bound).astype(np.float32)
        return contrast / _edges(image.shape, 2 * sigma)


class Watershed(Otsu):
    """As otsu, touching things parted by their brightness and not by their shape."""

    word = "watershed"

    def parted(self, contrast: Floats, pixel_um: float) -> tuple[Labels, int]:
        """One thing for each top of the brightness that is far enough from the next."""
        from scipy import ndimage
        from skimage.feature import peak_local_max
        from skimage.segmentation import watershed

        apart_um = self._settings.min_distance_um or 6.0
        apart = apart_um / pixel_um
        height = ndimage.gaussian_filter(contrast, apart / 4)
        above = contrast > 1
        tops = peak_local_max(  # type: ignore[no-untyped-call]  # skimage is untyped
            np.where(above, height, 0),
            min_distance=max(1, round(apart / 2)),
            threshold_abs=0,
            exclude_border=False,
        )
        seeds = np.zeros(contrast.shape, np.int32)
        seeds[tuple(tops.T)] = np.arange(1, len(tops) + 1)
        labels: Labels = watershed(  # type: ignore[no-untyped-call]  # untyped
            -height, seeds, mask=above, connectivity=2
        ).astype(np.int32)
        return labels, len(tops)


class FrameDifference(Classical):
    """What is brighter or darker than in the frame before of its place and channel."""

    word = "frame_difference"

    def __init__(self, settings: DetectSettings) -> None:
        super().__init__(settings)
        self._before: OrderedDict[tuple[str, str], tuple[Floats, float]] = OrderedDict()

    def label(self, frame: Frame) -> Floats:
        """Against the last frame; nothing in the first one or after a change of size.

        Both are compared per light ordered (exposure × power).
        """
        smooth, noise = self.smooth(frame)
        light = frame.state.exposure_ms * frame.state.power_percent / 100.0
        smooth, noise = smooth / (light or 1.0), noise / (light or 1.0)
        key = (frame.place, frame.state.channel)
        before = self._before.pop(key, None)
        self._before[key] = (smooth, noise)
        if len(self._before) > _PLACES:
            self._before.popitem(last=False)
        if before is None or before[0].shape != smooth.shape:
            return np.zeros_like(smooth)
        bound = self.options.least_contrast * math.hypot(noise, before[1])
        contrast: Floats = np.abs(smooth - before[0]) / max(bound, 1e-6)
        contrast /= self.edges(frame)
        return contrast

    def warm_up(self, frame: Frame) -> None:
        """Look at a frame once, and forget it."""
        super().warm_up(frame)
        self._before.clear()


CLASSICAL: dict[str, type[Classical]] = {
    made.word: made for made in (Otsu, Adaptive, Blobs, Watershed, FrameDifference)
}
"""By the words they are named with."""


def _edges(shape: tuple[int, ...], reach: float) -> Floats:
    """Return how much more noise a mirrored edge makes: the mirror repeats it."""
    more = []
    for length in shape:
        place = np.arange(length)
        near = np.minimum(place, length - 1 - place) < reach
        more.append(np.where(near, math.sqrt(2), 1.0).astype(np.float32))
    edges: Floats = np.outer(*more)
    return edges


def _noise(image: Floats) -> float:
    """Return the deviation of the noise, from second differences across a pixel.

    Those beyond three deviations, as the median tells these, are edges and left out;
    the median alone would be rounded where counts are few.
    """
    if min(image.shape) < 3:
        return 0.0
    across = np.abs(image[:, 2:] - 2 * image[:, 1:-1] + image[:, :-2])
    usual = max(float(np.median(across)) / _OF_DEVIATION, 0.5)
    kept = across[across < 3 * usual]
    # of a normal distribution cut at three deviations 0.9866 of its deviation is left
    return float(np.sqrt(np.square(kept).mean())) / 0.9866 / math.sqrt(6)


def _as_score(contrast: Floats) -> Floats:
    """Return contrast as scores in [0, 1]: 0.5 at the bound."""
    above = np.maximum(contrast, 0)
    score: Floats = (above / (above + 1)).astype(np.float32)
    return score


def _refused(word: str, kind: type[BaseModel], error: ValidationError) -> Refused:
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    known = list(kind.model_fields)
    what = (
        f"unknown option.{nearest(name, known)}"
        if first["type"] == "extra_forbidden"
        else str(first["msg"])
    )
    return Refused(
        f"The detector '{word}' cannot take options.{name}: {what}",
        rule=f"It takes: {', '.join(known)}.",
        way_out="Correct 'options' of analysis.detect.",
    )
