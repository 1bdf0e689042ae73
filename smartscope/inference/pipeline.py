"""Denoise, then detect: raw planes in; restored image, map or candidates out."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference.card import HeadCard
from smartscope.inference.correction import Correction, check_fields
from smartscope.inference.facts import facts_of, notices_of
from smartscope.inference.fuse import End
from smartscope.inference.fused import FusedPipeline
from smartscope.inference.fused_graphs import FusedGraphs
from smartscope.inference.heads.reading import overlap_of
from smartscope.inference.inferred import Inferred
from smartscope.inference.loading import (
    DEFAULT_THRESHOLD,
    intake_of,
    load_finder,
    load_restorer,
)
from smartscope.inference.model import Model
from smartscope.inference.parts import (
    brought,
    channels_of_restored,
    run_parts,
    scale_of,
    stride_of,
)
from smartscope.inference.planes import Corrections, Planes
from smartscope.inference.settings import DenoiseSettings, DetectSettings, HeadName


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
    corrections : Corrections, optional
        Dark and flat field of the camera.
    keep_restored : bool
        Whether the restored image is given; otherwise it does not leave the graph.

    Attributes
    ----------
    channels : int
        Channels that the first model takes.
    window : int
        Frames of each, the newest last.

    Raises
    ------
    smartscope.errors.Refused
        If the two models do not fit together.
    """

    def __init__(
        self,
        detect: Model,
        denoise: Model | None = None,
        *,
        head: HeadName = "peaks",
        threshold: float = DEFAULT_THRESHOLD,
        fuse: bool = False,
        overlap: float = 1.0,
        classes: tuple[str, ...] | None = None,
        corrections: Corrections | None = None,
        keep_restored: bool = True,
    ) -> None:
        self.detect = detect
        self.denoise = denoise
        self.head = head
        self.threshold = threshold
        self.overlap = overlap
        self.classes = classes or detect.package.head.classes
        self.keep_restored = keep_restored
        self._corrections = corrections
        self._corrected: dict[Hashable, Correction | None] = {}
        end: End = detect.head or ("peaks" if head == "peaks" else "map")
        self._graphs: FusedGraphs | None = None
        if fuse:
            self._graphs = FusedGraphs(detect, denoise, end, corrections=corrections)
        self._resampled: dict[str, str] = {}
        intake = intake_of(detect, denoise)
        self.channels, self.window = intake.channels, intake.window

    @classmethod
    def load(
        cls,
        detect: DetectSettings,
        denoise: DenoiseSettings | None = None,
        *,
        threads: int | None = None,
        fuse: bool = True,
        corrections: Corrections | None = None,
        channels: int | None = None,
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
        corrections : Corrections, optional
            Dark and flat field of the camera.
        channels : int, optional
            How many there are, for a first model that takes any number.

        Raises
        ------
        smartscope.errors.Refused
            If a model is missing, broken, or no head can read its output.
        """
        restorer = None
        window = detect.window
        if denoise is not None:
            restorer = load_restorer(denoise, window, threads)
            if restorer.intake.planes > 1:
                window = channels = None  # its one image goes on
        finder, head, threshold, classes = load_finder(
            detect, window, channels, threads, fuse=fuse
        )
        store = denoise is not None and denoise.store
        if store and restorer is not None and finder.intake.planes > 1:
            raise Refused(
                f"The images that {restorer.package.name} restores shall be stored, "
                f"and {finder.package.name} takes {finder.intake.told}.",
                rule="One restored image of a frame is stored.",
                way_out="Leave 'store' out.",
            )
        return cls(
            finder,
            restorer,
            head=head,
            threshold=threshold,
            fuse=fuse,
            overlap=overlap_of(finder.package, head, detect),
            classes=classes,
            corrections=corrections,
            keep_restored=store,
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

    @property
    def unfused(self) -> str:
        """Why the last frames ran as parts; ``""`` if they did not, or nobody asked."""
        return "" if self._graphs is None else self._graphs.unfused

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of how frames become what the models take."""
        return notices_of(self.models, self._resampled)

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """By role what is done to the frames around the net, for the run's record.

        ``normalisation``, ``resampled`` and ``corrected`` are words, ``""`` for what is
        not done; ``precision`` is that of the net, ``deviation`` the measured one from
        float32 or None. What depends on the frames is known after `check` or the first
        frame.
        """
        return facts_of(self.models, self._resampled, self._corrections)

    def state(self) -> dict[str, Any]:
        """Return the statistics of the series so far, as plain values, by role."""
        return {
            role: model.scaling.state()
            for role, model in self.models.items()
            if model.scaling.active
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`, exactly; what was learned since is forgotten."""
        for role, model in self.models.items():
            if model.scaling.active:
                model.scaling.restore(state.get(role, {}))

    def check(self, shape: tuple[int, int], pixel_size_um: float | None = None) -> None:
        """See whether frames of this shape and pixel size fit.

        Raises
        ------
        smartscope.errors.Refused
            If they do not.
        """
        check_fields(self._corrections, shape)
        for role, model in self.models.items():
            image = model.image_shape(shape, pixel_size_um)
            model.padding(image)
            self._resampled.pop(role, None)
            if image != shape:
                self._resampled[role] = (
                    f"{pixel_size_um:g} → {model.package.pixel_size_um:g} µm, "
                    f"{_written(shape)} → {_written(image)} pixels"
                )

    def run(self, given: npt.NDArray[np.generic] | Planes) -> Inferred:
        """Look at one frame, or at the planes of one moment.

        Parameters
        ----------
        given : np.ndarray or Planes
            Shape ``(Y, X)``, raw counts.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If a model fails on it or its output is not finite.
        smartscope.errors.Refused
            If it is no image ``(Y, X)`` or does not fit; see `check`.
        """
        if isinstance(given, np.ndarray):
            if given.ndim != 2:
                raise Refused(
                    f"A frame has the shape (rows, columns), got {given.shape}.",
                    rule="Models see frames of one plane.",
                    way_out="Hand over one plane, or several as Planes.",
                )
            given = Planes((given,))
        if (len(given.channels), given.frames) != (self.channels, self.window):
            self._refuse(given)
        fused = self._graph_for(given)
        if fused is not None and not self._learns_within(given):
            return self._run_fused(fused, given)
        return self._run_parts(given)

    def warm_up(self, given: npt.NDArray[np.generic] | Planes) -> Inferred:
        """Look at a frame so that the first real one is as quick as the rest.

        Nothing is learned of it: the statistics of a series are as they were.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            As `run`.
        smartscope.errors.Refused
            As `run`.
        """
        state, planes = self.state(), Planes.of(given)
        try:
            inferred = self.run(given)
            fused = self._graph_for(planes)
            if fused is not None and "detect" in state and self.denoise is not None:
                # both ways are taken in the run, and the parts first: they stay warm
                self._run_fused(fused, planes)
                self.restore(state)
                self._run_parts(planes)
        finally:
            self.restore(state)
        return inferred

    def _learns_within(self, given: Planes) -> bool:
        """Return True if statistics are of what is restored, so that it must come out.

        Then the models run one after the other.
        """
        if self.denoise is None:
            return False
        channels = channels_of_restored(given.channels, self.denoise)
        return self.detect.scaling.learning(channels)

    def _parts_needed(self) -> bool:
        """Return True while frames of another channel still take the parts."""
        return self.denoise is not None and self.detect.scaling.unfinished

    def _run_parts(self, given: Planes) -> Inferred:
        return run_parts(
            given,
            self.detect,
            self.denoise,
            peaks=self.head == "peaks",
            threshold=self.threshold,
            correction=self._correction(given),
            keep_restored=self.keep_restored,
        )

    def _refuse(self, given: Planes) -> NoReturn:
        first = next(iter(self.models.values()))
        intake = intake_of(self.detect, self.denoise)
        raise Refused(
            f"The model {first.package.name} takes {intake.told}, and "
            f"{len(given.channels)} of {given.frames} are given.",
            rule="A model sees as many channels and frames as it was made for.",
            way_out="Name as many channels as it takes, in its order, or take another "
            "model.",
        )

    def _graph_for(self, given: Planes) -> FusedPipeline | None:
        """Return the graph for such planes, made when they first come."""
        if self._graphs is None:
            return None
        if self._graphs.new(given, keep_restored=self.keep_restored):
            self.check(given.shape, given.pixel_size_um)
        return self._graphs.of(
            given, self._correction(given), keep_restored=self.keep_restored
        )

    def _correction(self, given: Planes) -> Correction | None:
        """Return what is done to such planes first."""
        if self._corrections is None:
            return None
        key = (given.shape, self._corrections.fields_of(given.channels))
        if key not in self._corrected:
            check_fields(self._corrections, given.shape)
            self._corrected[key] = Correction.of(
                self._corrections, given.channels, given.frames
            )
        return self._corrected[key]

    def _scalings(self, given: Planes) -> dict[str, npt.NDArray[np.float32]]:
        """Return the statistics of all series; that of the frames learns first."""
        channels = given.channels
        first, *second = self.models.values()
        if first.scaling.learning(channels):
            images: Sequence[npt.NDArray[Any]] = given.pixels
            if (correction := self._correction(given)) is not None:
                images = correction.apply(images)
            shape = first.image_shape(given.shape, given.pixel_size_um)
            first.scaling.learn(brought(images, shape), channels)
        scalings = first.scalings(channels)
        for model in second:
            scalings |= model.scalings(channels_of_restored(channels, first))
        return scalings

    def _run_fused(self, fused: FusedPipeline, planes: Planes) -> Inferred:
        began = time.perf_counter()
        scalings = self._scalings(planes)
        try:
            given = fused.run(planes.pixels, self.threshold, scalings)
        except AnalysisFailed:
            if fused.proven:
                raise
            learned = self.state()
            try:
                self._run_parts(planes)  # which tell better what does not fit
            finally:
                self.restore(learned)  # the frame was counted before it failed
            raise
        for model, health in zip(self.models.values(), given.health, strict=True):
            model.check_finite(health)
            if not self._parts_needed():
                model.let_go()
        shape = self.detect.image_shape(planes.shape, planes.pixel_size_um)
        padding = self.detect.padding(shape)
        if given.dense is not None:
            self.detect.check_size(given.dense, shape)
        outputs = given.found
        cut = "" if given.candidates is None else given.candidates.cut
        if (reader := self.detect.head) is not None:
            cut = reader.cut(outputs)
            outputs = reader.within(outputs, padding)
        scale = scale_of(planes.shape, shape)
        whole_ms = (time.perf_counter() - began) * 1e3
        return Inferred(
            given.restored,
            given.dense,
            given.candidates,
            stride_of(padding.stride, scale),
            {"prepare": whole_ms - given.graph_ms, "detect": given.graph_ms},
            outputs,
            scale,
            cut,
        )


def _written(shape: tuple[int, int]) -> str:
    return f"{shape[0]} × {shape[1]}"
