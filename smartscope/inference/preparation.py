"""Planes into the tensor that a net takes: steps, padding, dtype."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.inference.intake import Intake
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.normalize import chain
from smartscope.inference.padding import Padding
from smartscope.inference.tensor import Step

Image = npt.NDArray[Any]


class Preparation:
    """What is done to planes before one net.

    Parameters
    ----------
    package : ModelPackage
        Whose net.
    intake : Intake
        How many planes it takes.
    steps : Sequence of Step
        Those of the package, or with the statistics of a series in their place.

    Raises
    ------
    smartscope.errors.Refused
        If a step is unknown or has wrong arguments.
    """

    def __init__(
        self, package: ModelPackage, intake: Intake, steps: Sequence[Step]
    ) -> None:
        self._name = package.name
        self._dtype = np.dtype(package.input.dtype)
        self._letters = package.input.letters
        self._intake = intake
        self._steps = chain(steps, self._letters)

    def tensor(
        self,
        planes: Sequence[Image],
        padding: Padding,
        references: Mapping[str, npt.NDArray[np.float32]],
    ) -> tuple[Image, Image]:
        """Return planes ``(Y, X)`` as the tensor, and the same before any step.

        Parameters
        ----------
        planes : Sequence of np.ndarray
            Of the pixel size of the model.
        padding : Padding
            For images of their shape.
        references : Mapping
            What steps take from elsewhere, by name.

        Raises
        ------
        smartscope.errors.Refused
            If they are too many or too few, or their counts do not fit.
        """
        if len(planes) != self._intake.planes:
            raise Refused(
                f"The model {self._name} takes {self._intake.told}, and "
                f"{len(planes)} planes are given.",
                rule="A model sees as many planes as it was made for.",
                way_out="Name as many channels as it takes, or take another model.",
            )
        raw = self._intake.tensor(planes)
        made = padding.pad(self._steps(raw, references), self._letters)
        if self._dtype.kind in "iu" and not np.can_cast(made.dtype, self._dtype):
            raise Refused(
                f"The model {self._name} takes {self._dtype} images and gets "
                f"{made.dtype}.",
                rule="Counts are not cut off to fit a model.",
                way_out="Set the camera to fewer bits, or scale in the model's card "
                "(normalisation: scale_linear, then ensure_dtype).",
            )
        return np.ascontiguousarray(made, dtype=self._dtype), raw
