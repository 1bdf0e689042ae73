"""Denoise, then detect: a raw frame in; restored image, map or candidates out."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.inference.card import HeadCard, HeadName
from smartscope.inference.heads.peaks import Candidates
from smartscope.inference.model import Map, Model
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.settings import DenoiseSettings, DetectSettings

_DEFAULT_THRESHOLD = 0.5


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
        ``prepare`` (normalising and padding), ``denoise``, ``detect``.
    """

    restored: Map | None
    map: Map | None
    candidates: Candidates | None
    stride: tuple[float, float]
    timings_ms: dict[str, float] = field(default_factory=dict)


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
    """

    def __init__(
        self,
        detect: Model,
        denoise: Model | None = None,
        *,
        head: HeadName = "peaks",
        threshold: float = _DEFAULT_THRESHOLD,
    ) -> None:
        self.detect = detect
        self.denoise = denoise
        self.head = head
        self.threshold = threshold

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
        finder = Model(
            package,
            device=detect.device,
            threads=threads,
            gives="peaks" if head == "peaks" else "map",
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
        threshold = detect.threshold or package.head.threshold or _DEFAULT_THRESHOLD
        return cls(finder, restorer, head=head, threshold=threshold)

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
        if self.head == "peaks":
            candidates = self.detect.candidates(tensor, shape, self.threshold)
        else:
            dense = self.detect.map(tensor, shape)
        lap("detect")
        stride = self.detect.padding(shape).stride
        return Inferred(restored, dense, candidates, stride, timings_ms)


def head_of(package: ModelPackage) -> HeadName:
    """Return the head that can read a model's output.

    Raises
    ------
    smartscope.errors.Refused
        If neither the card nor the description tells.
    """
    if package.head.head is not None:
        return package.head.head
    if package.output.probability:
        return "components"
    raise Refused(
        f"Nothing says how the output '{package.output.name}' of {package.name} is to "
        "be read: it has no card with a head, and it is no probability map.",
        rule="A detecting model is read by a head: peaks or components.",
        way_out="Set 'head' in the experiment's detect settings, or write 'head: ...' "
        "into the model's card.",
    )
