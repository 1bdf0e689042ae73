"""A model that runs: package, session and the processing around them."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference.graph import GraphTail, append_processing, can_extend
from smartscope.inference.heads.head import HEALTH as HEAD_HEALTH
from smartscope.inference.heads.head import Head, health_of
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
from smartscope.inference.tensor import Axis
from smartscope.inference.tiling import Tiles, alignment, halo_of, run_tiled

Image = npt.NDArray[Any]
Map = npt.NDArray[np.float32]


class Model:
    """One model beside the camera: an image in, a map or its candidates out.

    Parameters
    ----------
    package : ModelPackage
        What runs.
    device : str
        Where, as `ModelSession` takes it.
    threads : int, optional
        For the CPU; default: all cores but one.
    gives : {"map", "peaks"} or Head
        ``peaks`` appends the search for candidates to the graph where that is possible,
        a head its own nodes.
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
        gives: Literal["map", "peaks"] | Head = "map",
        fuse: bool = True,
    ) -> None:
        self.package = package
        self.head = None if isinstance(gives, str) else gives
        if self.head is not None:
            self.fused = fuse and can_extend(package, one_map=False)
        else:
            self.fused = gives == "peaks" and fuse and can_extend(package)
        self.channel = _channel(package) if self.head is None else 0
        self._before = chain(package.input.steps, package.input.letters)
        self._after = chain(package.output.steps, package.output.letters)
        self._padding: dict[tuple[int, int], Padding] = {}
        source: Any = package.onnx.path
        if self.fused:
            tail = GraphTail(package.onnx)
            first = append_processing(tail, package)
            if self.head is None:
                append_peaks(tail, first)
            else:
                rest = [p.name for p in package.onnx.outputs[1:]]
                self.head.append(tail, [first, *rest])
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
                shape,
                self.package.input,
                self.package.output,
                self.package.name,
                aligned=self._aligned(shape),
            )
        return self._padding[shape]

    def tiled(self, shape: tuple[int, int]) -> bool:
        """Return True if frames of this shape are cut into tiles."""
        return any(
            axis.size not in (None, length)
            for axis, length in self._sides(self.padding(shape).padded_shape)
        )

    def _sides(self, shape: tuple[int, int]) -> list[tuple[Axis, int]]:
        axes = {a.letter: a for a in self.package.input.axes}
        return [(axes[a], n) for a, n in zip("yx", shape, strict=True) if a in axes]

    def _aligned(self, shape: tuple[int, int]) -> int | None:
        """Return what the tiles of larger frames are aligned to, None without tiles."""
        sizes = [a.size for a, n in self._sides(shape) if a.size and n > a.size]
        if not sizes or self.head is not None or self.halo is None:
            return None
        return min(alignment(n) for n in sizes)

    @cached_property
    def halo(self) -> int | None:
        """Pixels that tiles overlap by on each side; None if it cannot be tiled."""
        return halo_of(self.package)

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
        letters = self.package.input.letters
        sides = self._sides(
            (tensor.shape[letters.index("y")], tensor.shape[letters.index("x")])
        )
        if any(axis.size not in (None, length) for axis, length in sides):
            rows, columns = (
                Tiles(
                    length,
                    axis.size or length,
                    self.halo or 0,
                    alignment(axis.size or length),
                )
                for axis, length in sides
            )
            output = run_tiled(
                tensor,
                rows,
                columns,
                (letters, self.package.output.letters),
                self._run,
            )
        else:
            output = self._run(tensor)
        finished: Image = self._after(output)
        return finished

    def _run(self, tensor: Image) -> Image:
        feeds = {self._input: tensor}
        if THRESHOLD in self.session.inputs:  # of the head, whose outputs are not asked
            feeds[THRESHOLD] = np.zeros(1, np.float32)
        (output,) = self.session.run(feeds, [self._output])
        if output.ndim != len(self.package.output.axes):
            raise AnalysisFailed(
                f"The model {self.package.name} gave an array of shape {output.shape}, "
                f"not of axes '{self.package.output.letters}'."
            )
        return output

    def map(self, tensor: Image, shape: tuple[int, int]) -> Map:
        """Return the map of a prepared tensor, cropped to frames of `shape`.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If it fails, has another size than described, or is not finite.
        """
        pad = self.padding(shape)
        cropped = pad.crop(self._plane(self.predict(tensor)))
        self.check_size(cropped, shape)
        self.check_finite(cropped.sum(dtype=np.float64))
        return cropped

    def check_size(self, cropped: Map, shape: tuple[int, int]) -> None:
        """See whether a map has the size that was described.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If it has not.
        """
        described = self.padding(shape).map_shape
        if cropped.shape != described:
            raise AnalysisFailed(
                f"The model {self.package.name} gave a map of {cropped.shape} pixels "
                f"for a frame of {shape}; {described} were described."
            )

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
        if not self.fused or self.tiled(shape):
            whole = self._plane(self.predict(tensor))
            self.check_finite(whole.sum(dtype=np.float64))
            found = find_candidates(whole, threshold)
        else:
            positions, crosses, health = self.session.run(
                {self._input: tensor, THRESHOLD: np.array([threshold], np.float32)},
                [POSITIONS, CROSSES, HEALTH],
            )
            self.check_finite(health)
            found = Candidates(positions[:, 2:], crosses)
        return found.inside(pad.map_offset, pad.map_shape)

    def read(self, tensor: Image, shape: tuple[int, int]) -> dict[str, Image]:
        """Return what the head finds in a prepared tensor, in frames of `shape`.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If the model fails, or its output is not finite or not what the head reads.
        """
        assert self.head is not None
        if self.fused:
            names = self.head.names
            *arrays, health = self.session.run(
                {self._input: tensor}, [*names, HEAD_HEALTH]
            )
            self.check_finite(health)
            found = dict(zip(names, arrays, strict=True))
        else:
            outputs = self.session.run(
                {self._input: tensor}, [p.name for p in self.package.onnx.outputs]
            )
            outputs = [self._after(outputs[0]), *outputs[1:]]
            self.check_finite(health_of(outputs))
            found = self.head.find(outputs)
        return self.head.within(found, self.padding(shape))

    def _plane(self, output: Image) -> Map:
        """Return the map ``(Y, X)`` out of an output."""
        letters = self.package.output.letters
        index = tuple(
            slice(None) if a in "yx" else (self.channel if a == "c" else 0)
            for a in letters
        )
        plane = output[index]
        if letters.index("y") > letters.index("x"):
            plane = plane.T
        return plane.astype(np.float32, copy=False)

    def check_finite(self, total: Any) -> None:
        """See whether a sum over the map is finite.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If it is not.
        """
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
