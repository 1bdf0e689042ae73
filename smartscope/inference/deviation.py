"""How far an output is from what was expected of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.inference.bioimage import Tolerance

_PART_OF_RANGE = 0.01  # the specification's bound of an absolute tolerance


@dataclass(frozen=True, slots=True)
class Deviation:
    """One output against its test tensor.

    Attributes
    ----------
    output : str
        Its name.
    absolute : float
        Largest difference of a value; infinite if shapes differ or a value is NaN.
    relative : float
        `absolute` over the largest expected magnitude.
    outside : float
        Share of the values that are further off than the tolerance, 0 to 1.
    within : bool
        Whether that is as little as the package allows.
    expected, found : str
        Shape and range, in words.
    """

    output: str
    absolute: float
    relative: float
    outside: float
    within: bool
    expected: str
    found: str

    def to_record(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "output": self.output,
            "absolute": finite(self.absolute),
            "relative": finite(self.relative),
            "outside": self.outside,
            "within": self.within,
            "expected": self.expected,
            "found": self.found,
        }


def compare(
    name: str,
    expected: npt.NDArray[Any],
    found: npt.NDArray[Any],
    tolerance: Tolerance,
) -> Deviation:
    """Compare an output with its test tensor.

    Parameters
    ----------
    name : str
        Of the output.
    expected, found : np.ndarray
        Of the same shape, or the deviation is infinite.
    tolerance : Tolerance
        Its absolute part counts up to 1 % of the largest expected magnitude.
    """
    words = (_words(expected), _words(found))
    if expected.shape != found.shape:
        return Deviation(name, np.inf, np.inf, 1.0, False, *words)
    expected, found = expected.astype(np.float64), found.astype(np.float64)
    largest = float(np.abs(expected).max(initial=0.0))
    # two infinities of the same sign are equal, and their difference is no number
    same = expected == found
    off = np.abs(np.subtract(found, expected, where=~same, out=np.zeros_like(expected)))
    off[np.isnan(off)] = np.inf
    allowed = min(tolerance.absolute, _PART_OF_RANGE * largest or tolerance.absolute)
    outside = float(np.mean(off > allowed + tolerance.relative * np.abs(expected)))
    absolute = float(off.max(initial=0.0))
    return Deviation(
        output=name,
        absolute=absolute,
        relative=absolute / largest if largest else absolute,
        outside=outside,
        within=outside * 1e6 <= tolerance.per_million,
        expected=words[0],
        found=words[1],
    )


def _words(array: npt.NDArray[Any]) -> str:
    shape = " × ".join(map(str, array.shape))
    if array.size == 0:
        return f"{shape} values"
    wrong = int(np.isnan(array).sum()) if array.dtype.kind == "f" else 0
    if wrong:
        return f"{shape} values, {wrong} of them NaN"
    return (
        f"{shape} values from {float(array.min()):.4g} to {float(array.max()):.4g} "
        f"(mean {float(array.mean(dtype=np.float64, where=np.isfinite(array))):.4g})"
    )


def finite(value: float) -> float | None:
    """Return None for what JSON has no number for."""
    return value if np.isfinite(value) else None
