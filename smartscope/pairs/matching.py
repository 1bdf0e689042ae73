"""Whether an image and its truth show the same: what belongs elsewhere is found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.pairs.example import Example
from smartscope.pairs.registration import banded

Floats = npt.NDArray[np.float64]

_MIDDLE_PX = 256  # of an image this much is compared
# of a correlation by chance, in pixels that are as good as independent
_AREA_PX = 30.0
_NOTHING, _SURELY = 3.0, 6.0
# labels: the correlation where they fit best, and where they lie, over that
_FITS, _STILL_FITS, _AWAY_PX = 0.3, 0.6, 2.0


def mixed_up(examples: Sequence[Example]) -> Iterator[tuple[str, str]]:
    """Yield examples whose clean image belongs to another one, and what is wrong.

    Clean images that are the same file under two names are found by their pixels; those
    that were given to the wrong images by correlation: it is nothing with the own one,
    and sure with another one or between the image's own even and odd rows, which show
    that there is something to be seen.

    Parameters
    ----------
    examples : sequence of Example
        With clean images, each of its image's shape.
    """
    by_pixels: dict[bytes, str] = {}
    groups: dict[tuple[int, ...], list[tuple[str, Floats, Floats]]] = {}
    seen: dict[str, float] = {}
    for example in examples:
        clean = example.truth()
        first = by_pixels.setdefault(clean.tobytes(), example.name)
        if first != example.name:
            yield example.name, f"its clean image is also that of {first}."
            continue
        image = example.image.read(0)
        seen[example.name] = _seen(image)
        pair = [_normed(banded(_middle(one))) for one in (image, clean)]
        groups.setdefault(pair[0].shape, []).append((example.name, pair[0], pair[1]))
    for shape, found in groups.items():
        noisy = np.stack([image.ravel() for _, image, _ in found])
        clean = np.stack([image.ravel() for _, _, image in found])
        alike = noisy @ clean.T
        chance = np.sqrt(_AREA_PX / np.prod(shape))
        for i, (name, _, _) in enumerate(found):
            best = int(np.argmax(alike[i]))
            if alike[i, i] >= _NOTHING * chance:
                continue
            if alike[i, best] > _SURELY * chance:
                yield (
                    name,
                    f"its clean image shows something else; that of {found[best][0]} "
                    "fits.",
                )
            elif seen[name] > _SURELY:
                yield name, "its clean image shows something else."


def labels_away(labels: npt.NDArray[Any], image: npt.NDArray[Any]) -> str:
    """Return what is wrong if labels fit the image elsewhere than where they lie.

    Parameters
    ----------
    labels, image : np.ndarray
        Shape ``(Y, X)``.

    Returns
    -------
    str
        ``""`` if they fit, or fit nowhere.
    """
    given, mask = banded(image), banded((labels > 0).astype(float))
    scale = float(np.sqrt((given**2).sum() * (mask**2).sum()))
    if not scale > 0:
        return ""
    across = np.fft.ifft2(np.fft.fft2(mask) * np.fft.fft2(given).conj()).real / scale
    best = np.unravel_index(int(np.argmax(across)), across.shape)
    rows, columns = (
        int(at - n if at > n // 2 else at)
        for at, n in zip(best, across.shape, strict=True)
    )
    there, here = float(across[best]), abs(float(across[0, 0]))
    if (
        there < _FITS
        or here > _STILL_FITS * there
        or np.hypot(rows, columns) <= _AWAY_PX
    ):
        return ""
    return (
        f"the labels do not match the image: they would fit {abs(rows)} rows "
        f"{'up' if rows > 0 else 'down'} and {abs(columns)} columns to the "
        f"{'left' if columns > 0 else 'right'}."
    )


def _seen(image: npt.NDArray[Any]) -> float:
    """Return how alike even and odd rows are, over what they are by chance."""
    cut = _middle(image)
    odd = cut[1::2]
    halves = [_normed(banded(half[: len(odd)])) for half in (cut[::2], odd)]
    return float((halves[0] * halves[1]).sum() / np.sqrt(_AREA_PX / halves[0].size))


def _middle(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    begins = [max(0, (n - _MIDDLE_PX) // 2) for n in image.shape]
    return image[tuple(slice(b, b + _MIDDLE_PX) for b in begins)]


def _normed(image: Floats) -> Floats:
    length = float(np.linalg.norm(image))
    return image / length if length > 0 else image
