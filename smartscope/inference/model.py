"""A model that runs: package, session and the processing around them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference.graph import GraphTail, append_processing, can_extend
from smartscope.inference.heads.peaks import (
    CROSSES,
    HEALTH,
    POSITIONS,
    THRESHOLD,
    Candidates,
    append_peaks,
    find_candidates,
)
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.normalize import chain
from smartscope.inference.padding import Padding
from smartscope.inference.session import ModelSession
from smartscope.inference.settings import Device

Image = npt.NDArray[Any]
Map = npt.NDArray[np.float32]


class Model:
    """One model beside the camera: an image in, a map or its candidates out.

    Parameters
    ----------
    package : ModelPackage
        What runs.
    device : {"auto", "cpu", "cuda"}
        Where.
    threads : int, optional
        For the CPU; default: all cores but one.
    gives : {"map", "peaks"}
        ``peaks`` appends the search for candidates to the graph where that is possible.
    fuse : bool
        False keeps the graph as it is; the result is the same.

    Raises
    ------
    smartscope.errors.Refused
        If the runtime cannot take it, or its output is not one map.
    """

    def __init__(
        self,
        package: ModelPackage,
        *,
        device: Device = "auto",
        threads: int | None = None,
        gives: Literal["map", "peaks"] = "map",
        fuse: bool = True,
    ) -> None:
        self.package = package
        self.fused = gives == "peaks" and fuse and can_extend(package)
        self._channel = _channel(package)
        self._before = chain(package.input.steps, package.input.letters)
        self._after = chain(package.output.steps, package.output.letters)
        self._padding: dict[tuple[int, int], Padding] = {}
        source: Any = package.onnx.path
        if self.fused:
            tail = GraphTail(package.onnx)
            append_peaks(tail, append_processing(tail, package))
            source = tail.serialized()
        self.session = ModelSession(
            source, name=package.name, device=device, threads=threads
        )
        self._input = package.onnx.inputs[0].name
        self._output = package.onnx.outputs[0].name

    def padding(self, shape: tuple[int, int]) -> Padding:
        """Return how frames of this shape fit.

        Raises
        ------
        smartscope.errors.Refused
            If they do not.
        """
        if shape not in self._padding:
            self._padding[shape] = Padding.plan(
                shape, self.package.input, self.package.output, self.package.name
            )
        return self._padding[shape]

    def prepare(self, image: Image) -> Image:
        """Return an image ``(Y, X)`` as the tensor the graph takes."""
        letters = self.package.input.letters
        order = [a for a in letters if a in "yx"]
        tensor = image if order == ["y", "x"] else image.T
        tensor = tensor[tuple(slice(None) if a in "yx" else None for a in letters)]
        tensor = self._before(tensor)
        pad = self.padding((image.shape[0], image.shape[1]))
        if pad.padded_shape != pad.shape:
            plane = tensor[tuple(slice(None) if a in "yx" else 0 for a in letters)]
            plane = pad.pad(plane if order == ["y", "x"] else plane.T)
            plane = plane if order == ["y", "x"] else plane.T
            tensor = plane[tuple(slice(None) if a in "yx" else None for a in letters)]
        wanted = np.dtype(self.package.input.dtype)
        if wanted.kind in "iu" and not np.can_cast(tensor.dtype, wanted):
            raise Refused(
                f"The model {self.package.name} takes {wanted} images and gets "
                f"{tensor.dtype}.",
                rule="Counts are not cut off to fit a model.",
                way_out="Set the camera to fewer bits, or scale in the model's card "
                "(normalisation: scale_linear, then ensure_dtype).",
            )
        return np.ascontiguousarray(tensor, dtype=wanted)

    def predict(self, tensor: Image) -> Image:
        """Run graph and processing after it on a prepared tensor, all axes kept."""
        (output,) = self.session.run({self._input: tensor}, [self._output])
        if output.ndim != len(self.package.output.axes):
            raise AnalysisFailed(
                f"The model {self.package.name} gave an array of shape {output.shape}, "
                f"not of axes '{self.package.output.letters}'."
            )
        finished: Image = self._after(output)
        return finished

    def map(self, tensor: Image, shape: tuple[int, int]) -> Map:
        """Return the map of a prepared tensor, cropped to frames of `shape`.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If it fails, has another size than described, or is not finite.
        """
        pad = self.padding(shape)
        cropped = pad.crop(self._plane(self.predict(tensor)))
        if cropped.shape != pad.map_shape:
            raise AnalysisFailed(
                f"The model {self.package.name} gave a map of {cropped.shape} pixels "
                f"for a frame of {shape}; {pad.map_shape} were described."
            )
        self._check_finite(cropped.sum(dtype=np.float64))
        return cropped

    def candidates(
        self, tensor: Image, shape: tuple[int, int], threshold: float
    ) -> Candidates:
        """Return the candidates of a prepared tensor within frames of `shape`.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If it fails or its map is not finite.
        """
        pad = self.padding(shape)
        if not self.fused:
            whole = self._plane(self.predict(tensor))
            self._check_finite(whole.sum(dtype=np.float64))
            found = find_candidates(whole, threshold)
        else:
            positions, crosses, health = self.session.run(
                {self._input: tensor, THRESHOLD: np.array([threshold], np.float32)},
                [POSITIONS, CROSSES, HEALTH],
            )
            self._check_finite(health)
            found = Candidates(positions[:, 2:], crosses)
        return found.inside(pad.map_offset, pad.map_shape)

    def _plane(self, output: Image) -> Map:
        """Return the map ``(Y, X)`` out of an output."""
        letters = self.package.output.letters
        index = tuple(
            slice(None) if a in "yx" else (self._channel if a == "c" else 0)
            for a in letters
        )
        plane = output[index]
        if letters.index("y") > letters.index("x"):
            plane = plane.T
        return plane.astype(np.float32, copy=False)

    def _check_finite(self, total: Any) -> None:
        if not np.isfinite(total):
            raise AnalysisFailed(
                f"The model {self.package.name} gave values that are not finite.",
                rule="NaN or infinity in an output says nothing about the specimen.",
                way_out="Look at the frame: is it empty, saturated, or unlike the "
                "images the model was trained on?",
            )


def _channel(package: ModelPackage) -> int:
    """Return the channel of the output that is the map."""
    channels, wanted = package.output.channels, package.head.channel
    if wanted is not None:
        if channels is not None and wanted >= channels:
            raise Refused(
                f"The card of {package.name} reads channel {wanted} and the output has "
                f"{channels}.",
                rule="Channels count from 0.",
                way_out="Correct 'channel' of the card.",
            )
        return wanted
    if channels not in (None, 1):
        axis = package.output.axis("c")
        names = f" ({', '.join(axis.names)})" if axis is not None and axis.names else ""
        raise Refused(
            f"The output of {package.name} has {channels} channels{names}, and no card "
            "says which one is the map.",
            rule="A head reads one map.",
            way_out="Write 'channel: N' into the card (of a package: under config: "
            "smartscope:).",
        )
    return 0
