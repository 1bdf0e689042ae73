"""A denoising model as it runs beside the camera, without a camera."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.inference import (
    DenoiseSettings,
    DetectSettings,
    ModelPackage,
    Pipeline,
    Planes,
    require_reproduced,
)

Image = npt.NDArray[Any]
Map = npt.NDArray[np.float32]

# what finds things gives nothing that is looked at, and is the quickest that is shipped
_FINDER = DetectSettings(model="dog", device="cpu", resample=False)


class Restorer:
    """Restores images with the pipeline that a run has.

    Parameters
    ----------
    model : str
        Name of a shipped model, or path of a package or an ``.onnx`` file.

    Attributes
    ----------
    package : ModelPackage
        What runs.
    window : int
        Frames that it sees at once.

    Raises
    ------
    smartscope.errors.Refused
        If it is missing or broken, does not reproduce its own test tensors, finds
        things in place of restoring them, or takes several channels.
    """

    def __init__(self, model: str) -> None:
        self.package = ModelPackage.load(model)
        if self.package.head.head is not None:
            raise Refused(
                f"{self.package.name} finds things ({self.package.head.head}), and the "
                "truths are clean images.",
                rule="Clean images judge models that restore, labels those that find.",
                way_out="Name a denoising model, or a folder with labels.",
            )
        require_reproduced(self.package)
        settings = DenoiseSettings(model=model, store=True)
        self._pipeline = Pipeline.load(_FINDER, settings, fuse=False)
        self.window = self._pipeline.window
        if self._pipeline.channels > 1:
            raise Refused(
                f"{self.package.name} takes {self._pipeline.channels} channels.",
                rule="A pair is of one channel.",
                way_out="Take a model of one channel.",
            )

    def restore(
        self, frames: npt.NDArray[Any], pixel_size_um: float | None = None
    ) -> list[Map]:
        """Return each frame restored, with those before it where it sees several.

        Parameters
        ----------
        frames : np.ndarray
            Shape ``(T, Y, X)``, raw counts of one field.
        pixel_size_um : float, optional
            None: nothing is resampled.

        Raises
        ------
        smartscope.errors.SmartscopeError
            If the images do not fit the model, or it fails on them.
        """
        self._pipeline.check((frames.shape[1], frames.shape[2]), pixel_size_um)
        restored = []
        for t in range(len(frames)):
            seen = [max(0, i) for i in range(t - self.window + 1, t + 1)]
            planes = Planes(
                tuple(np.ascontiguousarray(frames[i]) for i in seen),
                ("",),
                pixel_size_um,
            )
            # statistics of a series are of this field alone
            self._pipeline.restore({})
            given = self._pipeline.run(planes).restored
            assert given is not None
            restored.append(np.array(given))
        return restored
