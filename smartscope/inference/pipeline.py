"""Denoise, then detect: a raw frame in; restored image, map or candidates out."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.inference.card import HeadCard
from smartscope.inference.fuse import Stage
from smartscope.inference.fuse_steps import CannotFuse
from smartscope.inference.fused import FusedPipeline
from smartscope.inference.heads.peaks import Candidates
from smartscope.inference.heads.reading import head_of, overlap_of, reader_of
from smartscope.inference.model import Map, Model
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.settings import DenoiseSettings, DetectSettings, HeadName

_DEFAULT_THRESHOLD = 0.5
_MOST_GRAPHS = 4  # kept at a time: shapes of frames change rarely in a run


@dataclass(frozen=True, slots=True, eq=False)
class Inferred:
    """What the models made of one frame.

    Attributes
    ----------
    restored : np.ndarray or None
        Shape ``(Y, X)``, float32; None without a denoising model.
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
        For the other heads, what they found in the frame, by the names of the head.
    """

    restored: Map | None
    map: Map | None
    candidates: Candidates | None
    stride: tuple[float, float]
    timings_ms: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


class Pipeline:
    """The models of one experiment.

    Parameters
    ----------
    detect : Model
        The model that finds things; made with ``gives="peaks"`` for that head.
    denoise : Model, optional
        Restores the frame first.
    head : {"peaks", "components"}
        How the output of `detect` is read.
    threshold : float
        Of its map.
    overlap : float
        Two things that overlap by more are one; for heads that thin after the graph.
    classes : tuple of str, optional
        Their names; default: those of the card.
    fuse : bool
        Makes one graph of it all, for each shape of frames when it first comes; what
        cannot be fused runs as its parts, with the same result.

    Attributes
    ----------
    unfused : str
        Why the last frames ran as parts; ``""`` if they did not, or nobody asked.
    """

    def __init__(
        self,
        detect: Model,
        denoise: Model | None = None,
        *,
        head: HeadName = "peaks",
        threshold: float = _DEFAULT_THRESHOLD,
        fuse: bool = False,
        overlap: float = 1.0,
        classes: tuple[str, ...] | None = None,
    ) -> None:
        self.detect = detect
        self.denoise = denoise
        self.head = head
        self.threshold = threshold
        self.unfused = ""
        self.overlap = overlap
        self.classes = classes or detect.package.head.classes
        self._fuse = fuse
        self._fused: dict[tuple[tuple[int, int], str], FusedPipeline | None] = {}

    @classmethod
    def load(
        cls,
        detect: DetectSettings,
        denoise: DenoiseSettings | None = None,
        *,
        threads: int | None = None,
        fuse: bool = True,
    ) -> Pipeline:
        """Read the models of an experiment and start their sessions.

        Parameters
        ----------
        detect : DetectSettings
            Head and threshold left open are taken from the model's card.
        denoise : DenoiseSettings, optional
            None: the raw frame goes into `detect`.
        threads : int, optional
            For the CPU; default: all cores but one.
        fuse : bool
            False keeps the head out of the graph; the result is the same.

        Raises
        ------
        smartscope.errors.Refused
            If a model is missing, broken, or no head can read its output.
        """
        package = ModelPackage.load(detect.model)
        head = detect.head or head_of(package)
        threshold = detect.threshold or package.head.threshold or _DEFAULT_THRESHOLD
        reader, classes = reader_of(package, head, detect, threshold)
        finder = Model(
            package,
            device=detect.device,
            threads=threads,
            gives=reader or ("peaks" if head == "peaks" else "map"),
            fuse=fuse,
        )
        restorer = None
        if denoise is not None:
            restorer = Model(
                ModelPackage.load(denoise.model), device=denoise.device, threads=threads
            )
            if any(a.stride != 1 for a in restorer.package.output.axes):
                raise Refused(
                    f"The output of {restorer.package.name} has another pixel size "
                    "than its input.",
                    rule="A denoising model gives an image of the frame's shape.",
                    way_out="Take a model that does, or leave 'denoise' out.",
                )
        return cls(
            finder,
            restorer,
            head=head,
            threshold=threshold,
            fuse=fuse,
            overlap=overlap_of(package, head, detect),
            classes=classes,
        )

    @property
    def card(self) -> HeadCard:
        """What the detecting model's package says about its head."""
        return self.detect.package.head

    @property
    def models(self) -> dict[str, Model]:
        """The models by role, in the order they run."""
        both = {"denoise": self.denoise, "detect": self.detect}
        return {role: model for role, model in both.items() if model is not None}

    def check(self, shape: tuple[int, int]) -> None:
        """See whether frames of this shape fit.

        Raises
        ------
        smartscope.errors.Refused
            If they do not.
        """
        for model in self.models.values():
            model.padding(shape)

    def run(self, image: npt.NDArray[np.generic]) -> Inferred:
        """Look at one frame.

        Parameters
        ----------
        image : np.ndarray
            Shape ``(Y, X)``, raw counts.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If a model fails on it or its output is not finite.
        smartscope.errors.Refused
            If it is no image ``(Y, X)`` or does not fit; see `check`.
        """
        if image.ndim != 2:
            raise Refused(
                f"A frame has the shape (rows, columns), got {image.shape}.",
                rule="Models see one frame of one channel.",
                way_out="Hand over one plane.",
            )
        shape = (image.shape[0], image.shape[1])
        fused = self._graph_for(shape, image.dtype)
        if fused is not None:
            return self._run_fused(fused, image)
        timings_ms = {"prepare": 0.0}
        restored: Map | None = None
        watch = time.perf_counter()

        def lap(name: str) -> None:
            nonlocal watch
            now = time.perf_counter()
            timings_ms[name] = timings_ms.get(name, 0.0) + (now - watch) * 1e3
            watch = now

        if self.denoise is not None:
            tensor = self.denoise.prepare(image)
            lap("prepare")
            restored = self.denoise.map(tensor, shape)
            lap("denoise")
        tensor = self.detect.prepare(image if restored is None else restored)
        lap("prepare")
        dense: Map | None = None
        candidates: Candidates | None = None
        outputs: dict[str, npt.NDArray[Any]] = {}
        if self.detect.head is not None:
            outputs = self.detect.read(tensor, shape)
        elif self.head == "peaks":
            candidates = self.detect.candidates(tensor, shape, self.threshold)
        else:
            dense = self.detect.map(tensor, shape)
        lap("detect")
        stride = self.detect.padding(shape).stride
        return Inferred(restored, dense, candidates, stride, timings_ms, outputs)

    def _graph_for(
        self, shape: tuple[int, int], dtype: np.dtype[Any]
    ) -> FusedPipeline | None:
        """Return the graph for such frames, made when they first come."""
        if not self._fuse:
            return None
        key = (shape, dtype.name)
        if key not in self._fused:
            if len(self._fused) == _MOST_GRAPHS:
                self._fused.pop(next(iter(self._fused)))
            self._fused[key] = self._fuse_for(shape, dtype)
        return self._fused[key]

    def _fuse_for(
        self, shape: tuple[int, int], dtype: np.dtype[Any]
    ) -> FusedPipeline | None:
        models = list(self.models.values())
        stages = [Stage(m.package, m.padding(shape), m.channel) for m in models]
        session = self.detect.session
        self.unfused = ""
        try:
            if any(m.tiled(shape) for m in models):
                raise CannotFuse("frames larger than a model are run in tiles")
            if len({m.session.asked for m in models}) > 1:
                raise CannotFuse("its models shall run on different devices")
            return FusedPipeline(
                stages,
                dtype=dtype,
                end=self.detect.head or ("peaks" if self.head == "peaks" else "map"),
                device=session.asked,
                threads=session.threads,
            )
        except (CannotFuse, Refused) as e:
            # each part of it runs, so what the whole cannot do costs time only
            said = e.what if isinstance(e, Refused) else str(e)
            self.unfused = f"The models run as parts: {said.rstrip('.')}."
            return None

    def _run_fused(
        self, fused: FusedPipeline, image: npt.NDArray[np.generic]
    ) -> Inferred:
        began = time.perf_counter()
        given = fused.run(image, self.threshold)
        shape = (image.shape[0], image.shape[1])
        for model, health in zip(self.models.values(), given.health, strict=True):
            model.check_finite(health)
        padding = self.detect.padding(shape)
        if given.dense is not None:
            self.detect.check_size(given.dense, shape)
        outputs = given.found
        if self.detect.head is not None:
            outputs = self.detect.head.within(outputs, padding)
        whole_ms = (time.perf_counter() - began) * 1e3
        return Inferred(
            given.restored,
            given.dense,
            given.candidates,
            padding.stride,
            {"prepare": whole_ms - given.graph_ms, "detect": given.graph_ms},
            outputs,
        )
