"""A model that runs: package, session and the processing around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference.graph import can_extend
from smartscope.inference.heads.head import HEALTH as HEAD_HEALTH
from smartscope.inference.heads.head import Head, health_of
from smartscope.inference.heads.peaks import (
    CROSSES,
    HEALTH,
    POSITIONS,
    THRESHOLD,
    Candidates,
    find_candidates,
)
from smartscope.inference.heads.reading import map_channel
from smartscope.inference.intake import Intake
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.normalize import chain
from smartscope.inference.padding import Padding
from smartscope.inference.part import Part
from smartscope.inference.precision import Half
from smartscope.inference.preparation import Preparation
from smartscope.inference.resampling import resampled_shape
from smartscope.inference.scaling import Scaling
from smartscope.inference.settings import Device
from smartscope.inference.tiling import (
    Cutting,
    Tiles,
    aligned_of,
    check_tile,
    is_larger,
    run_tiled,
    tiles_of,
)

Image = npt.NDArray[Any]
Map = npt.NDArray[np.float32]

SERIES = "smartscope_series"
"""Begins the name of the graph's input for the statistics of a series."""


class Model(Part):
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
    intake : Intake, optional
        How many channels and frames it takes; default: the fewest.
    resample : bool
        Frames of another pixel size are brought to its own.
    tile_px : int, optional
        Larger frames are cut into tiles, also where they need not.
    scaling : Scaling, optional
        What its normalising step takes its statistics over; default: as the package
        says.
    precision : {"float32", "float16"}
        Of the net.

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
        intake: Intake | None = None,
        resample: bool = True,
        tile_px: int | None = None,
        scaling: Scaling | None = None,
        precision: Literal["float32", "float16"] = "float32",
    ) -> None:
        self.package = package
        self.intake = intake or Intake.of(package)
        self.resample = resample
        self.tile_px = tile_px
        self.scaling = scaling or Scaling(None, package.input, name=SERIES)
        self.head = None if isinstance(gives, str) else gives
        if tile_px is not None:
            self._check_tiles(tile_px)
        if self.head is not None:
            fused = fuse and can_extend(package, one_map=False)
        else:
            fused = gives == "peaks" and fuse and can_extend(package)
        self.channel = map_channel(package) if self.head is None else 0
        self._preparation = Preparation(package, self.intake, self.scaling.steps)
        self._after = chain(package.output.steps, package.output.letters)
        self._refers = any(
            s.kwargs.get("reference_tensor") for s in package.output.steps
        )
        # the last planes, for steps after the net that are relative to them
        self._references: dict[str, Image] = {}
        self._padding: dict[tuple[int, int], Padding] = {}
        self._sized: set[tuple[int, int]] = set()
        self._input = package.onnx.inputs[0].name
        half = None
        if precision == "float16":
            half = Half.of(package, device=device, threads=threads)
        super().__init__(package, self.head, fused, half, device, threads)

    def image_shape(
        self, shape: tuple[int, int], pixel_size_um: float | None
    ) -> tuple[int, int]:
        """Return the shape of frames as the model sees them, before padding.

        Raises
        ------
        smartscope.errors.Refused
            If their pixel size is too far from the model's.
        """
        if not self.resample:
            return shape
        wanted = self.package.pixel_size_um
        return resampled_shape(shape, pixel_size_um, wanted, self.package.name)

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
        return self._tiles(self.padding(shape).padded_shape) is not None

    def _tiles(self, padded: tuple[int, int]) -> tuple[Tiles, Tiles] | None:
        # most frames are not larger: the graph need not be read for them
        if not is_larger(self.package, padded, self.tile_px) or self.cutting is None:
            return None
        return tiles_of(self.package, self.cutting, padded, self.tile_px)

    def _aligned(self, shape: tuple[int, int]) -> int | None:
        """Return what larger frames are brought to steps of; None if not cut."""
        if not is_larger(self.package, shape) or self.cutting is None:
            return None
        return aligned_of(self.package, self.cutting, shape)

    @cached_property
    def cutting(self) -> Cutting | None:
        """How images are cut into tiles; None if they cannot be."""
        if self.head is not None and not self.head.maps:
            return None
        return Cutting.of(self.package)

    def _check_tiles(self, tile_px: int) -> None:
        if self.head is not None and not self.head.maps:
            raise Refused(
                f"Frames for {self.package.name} shall be cut into tiles, and it finds "
                "boxes, labels or classes.",
                rule="Only maps are put together from tiles: a box that two tiles cut, "
                "or the numbers of labels, would not fit.",
                way_out="Leave 'tile_px' out.",
            )
        check_tile(self.package, self.cutting, tile_px)

    def scalings(self, channels: tuple[str, ...]) -> dict[str, Map]:
        """Return what a series subtracts and divides by, by the graph's input.

        Parameters
        ----------
        channels : tuple of str
            Keys of the planes' channels.
        """
        if not self.scaling.active:
            return {}
        length = self.intake.window if self.intake.frames_are_channels else None
        return {self.scaling.name: self.scaling.values(channels, length)}

    def prepare(
        self,
        planes: Image | Sequence[Image],
        scalings: Mapping[str, Map] | None = None,
    ) -> Image:
        """Return planes ``(Y, X)``, or one, as the tensor the graph takes.

        Parameters
        ----------
        planes : np.ndarray or Sequence of np.ndarray
            Of the pixel size of the model.
        scalings : Mapping, optional
            As `scalings` gives them.

        Raises
        ------
        smartscope.errors.Refused
            If they are too many, too few or too large, or their counts do not fit.
        """
        given = [planes] if isinstance(planes, np.ndarray) else planes
        pad = self.padding((given[0].shape[0], given[0].shape[1]))
        tensor, raw = self._preparation.tensor(given, pad, scalings or {})
        if self._refers:
            self._references = {self.package.input.name: raw}
        return tensor

    def predict(self, tensor: Image) -> Image:
        """Run graph and processing after it on a prepared tensor, all axes kept."""
        (output,) = self._outputs(tensor, 1)
        finished: Image = self._after(output, self._references)
        return finished

    def _outputs(self, tensor: Image, count: int) -> Sequence[Image]:
        """Return the first outputs of the graph, put together from tiles if it is cut.

        A graph whose images are cut does not end in a head: nobody would see it.
        """
        letters = self.package.input.letters, self.package.output.letters
        padded = dict(zip(letters[0], tensor.shape, strict=True))
        tiles = self._tiles((padded["y"], padded["x"]))
        if tiles is None or self.cutting is None:
            return self._run(tensor, count)
        self.run_alone()
        run = partial(self._run, count=count)
        return run_tiled(tensor, *tiles, letters, self.cutting.stride, run)

    def _run(self, tensor: Image, count: int = 1) -> list[Image]:
        feeds = {self._input: tensor}
        if THRESHOLD in self.session.inputs:  # of the head, whose outputs are not asked
            feeds[THRESHOLD] = np.full(1, np.inf, np.float32)
        names = [p.name for p in self.package.onnx.outputs[:count]]
        outputs = self.session.run(feeds, names)
        if outputs[0].ndim != len(self.package.output.axes):
            raise AnalysisFailed(
                f"The model {self.package.name} gave an array of shape "
                f"{outputs[0].shape}, not of axes '{self.package.output.letters}'."
            )
        return list(outputs)

    def map(self, tensor: Image, shape: tuple[int, int]) -> Map:
        """Return the map of a prepared tensor, cropped to frames of `shape`.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If it fails, has another size than described, or is not finite.
        """
        pad = self.padding(shape)
        output = self.predict(tensor)
        self._check_size_of(output, shape)
        cropped = pad.crop(self._plane(output))
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

    def _check_size_of(self, output: Image, shape: tuple[int, int]) -> None:
        letters = self.package.output.letters
        if {*"yx"} <= {*letters}:
            size = [output.shape[letters.index(a)] for a in "yx"]
            self.padding(shape).check_output(size, self.package.name)

    def _check_size_once(self, tensor: Image, shape: tuple[int, int]) -> None:
        """Run the net on the first image of a shape and look at what else stays in."""
        if shape not in self._sized:
            self._check_size_of(self._run(tensor)[0], shape)
            self._sized.add(shape)

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
            output = self.predict(tensor)
            self._check_size_of(output, shape)
            whole = self._plane(output)
            self.check_finite(whole.sum(dtype=np.float64))
            found = find_candidates(whole, threshold)
        else:
            self._check_size_once(tensor, shape)
            positions, crosses, health = self.session.run(
                {self._input: tensor, THRESHOLD: np.array([threshold], np.float32)},
                [POSITIONS, CROSSES, HEALTH],
            )
            self.check_finite(health)
            found = Candidates.read(positions, crosses)
        return found.inside(pad.map_offset, pad.map_shape)

    def read(
        self, tensor: Image, shape: tuple[int, int]
    ) -> tuple[dict[str, Image], str]:
        """Return what the head finds in a prepared tensor, in frames of `shape`.

        Returns
        -------
        found : dict
            As the head names it.
        cut : str
            As `Inferred.cut`.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If the model fails, or its output is not finite or not what the head reads.
        """
        assert self.head is not None
        if self.fused and not self.tiled(shape):
            names = self.head.names
            self._check_size_once(tensor, shape)
            *arrays, health = self.session.run(
                {self._input: tensor}, [*names, HEAD_HEALTH]
            )
            self.check_finite(health)
            found = dict(zip(names, arrays, strict=True))
        else:
            first, *rest = self._outputs(tensor, self.head.maps or 1)
            outputs = [self._after(first, self._references), *rest]
            self._check_size_of(first, shape)
            self.check_finite(health_of(outputs))
            found = self.head.find(outputs)
        return self.head.within(found, self.padding(shape)), self.head.cut(found)

    def _plane(self, output: Image) -> Map:
        """Return the map ``(Y, X)`` out of an output."""
        letters = self.package.output.letters
        index = tuple(
            slice(None) if a in "yx" else (self.channel if a == "c" else -1)
            for a in letters  # of frames the newest
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
                "images the model was trained on? Where no frame has come yet, it is "
                "the model or its normalisation: compare it with the training.",
            )
