"""The detector that experiments name: ONNX models read by a head."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import Frame
from smartscope.inference import DetectSettings, Inferred, Pipeline, Planes, Verdict
from smartscope.recognition.detections import Detections
from smartscope.recognition.heads.components import decode_components, label_components
from smartscope.recognition.heads.found import (
    Found,
    found_boxes,
    found_class,
    found_class_peaks,
    found_labels,
    found_stars,
)
from smartscope.recognition.heads.measure import measure_around
from smartscope.recognition.heads.peaks import decode_peaks
from smartscope.recognition.placed import placed

_DEFAULT_RADIUS_UM = 5.0


class ModelDetector:
    """ONNX models and a head: the detector that experiments name.

    Parameters
    ----------
    pipeline : Pipeline
        The models.
    settings : DetectSettings
        Distances and areas; what is left open is taken from the model's card.
    verdicts : Mapping of str to Verdict, optional
        By role: whether the package reproduces its test tensors.

    Attributes
    ----------
    restored : np.ndarray or None
        The last frame as the denoising model restored it, where it is kept.
    timings_ms : dict
        Of the last frame: ``prepare``, ``detect``, ``head``; ``denoise`` too where the
        two models run one after the other and not as one graph.
    keep_labels : bool
        Detections of the components head have their label image too, where the map has
        the frame's size.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        settings: DetectSettings,
        verdicts: Mapping[str, Verdict] | None = None,
    ) -> None:
        card = pipeline.card
        self._pipeline = pipeline
        self._verdicts = dict(verdicts or {})
        self.keep_labels = False
        self._min_area_um2 = settings.min_area_um2
        self._radius_um = (
            card.radius_um or settings.min_distance_um or _DEFAULT_RADIUS_UM
        )
        self._seed_distance_um = settings.min_distance_um or card.min_distance_um
        self._min_distance_um = self._seed_distance_um or self._radius_um
        self.restored: npt.NDArray[np.float32] | None = None
        self.timings_ms: dict[str, float] = {}
        self._remarks: tuple[str, ...] = ()

    @property
    def providers(self) -> dict[str, dict[str, Any]]:
        """For each role (``denoise``, ``detect``) how its model runs.

        The device asked for and obtained, and in words what is done to frames before
        it: corrected, resampled, normalised, in which precision.
        """
        facts = self._pipeline.facts
        return {
            role: {"asked": m.asked, "obtained": m.obtained, **facts.get(role, {})}
            for role, m in self._pipeline.models.items()
        }

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know, such as a device that is not there."""
        devices = tuple(m.notice for m in self._pipeline.models.values() if m.notice)
        parts = (self._pipeline.unfused,) if self._pipeline.unfused else ()
        told = (*self._together(), *self._pipeline.notices, *self._unverified())
        return (*devices, *parts, *told)

    def _together(self) -> Iterator[str]:
        """Yield what goes into the models at once, and what is done to it first."""
        if self.channels > 1:
            yield (
                f"The model looks at {self.channels} channels together, when the last "
                "of a visit has come."
            )
        if self.window > 1:
            yield (
                f"The model looks at the last {self.window} frames of a place; until "
                "there are as many, the oldest stands for those before it."
            )
        for said in self._pipeline.facts.values():
            if said["corrected"]:
                yield f"Frames are corrected before the model: {said['corrected']}."

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be said of the last frame, such as results that were cut off."""
        return self._remarks

    @property
    def channels(self) -> int:
        """Channels that it looks at together."""
        return self._pipeline.channels

    @property
    def window(self) -> int:
        """Frames of each channel that it looks at together."""
        return self._pipeline.window

    def normalisation(self) -> dict[str, Any]:
        """Return what was learned of a series, as plain JSON values; may be empty."""
        return self._pipeline.state()

    def normalise_as(self, state: Mapping[str, Any]) -> None:
        """Go on from what an earlier process had learned; ``{}`` is nothing."""
        self._pipeline.restore(state)

    def _unverified(self) -> tuple[str, ...]:
        return tuple(
            f"UNVERIFIED: {self._pipeline.models[role].package.name} ({role}) does not "
            f"reproduce its own test tensors ({verdict.told()}); it was accepted "
            "by 'unverified'."
            for role, verdict in self._verdicts.items()
            if verdict.state == "not reproduced"
        )

    @property
    def test_tensors(self) -> dict[str, str]:
        """For each role, whether the package has reproduced its own test tensors."""
        return {role: verdict.state for role, verdict in self._verdicts.items()}

    @property
    def sha256(self) -> str:
        """Hash of the weights: of one model as it is, of two over both."""
        hashes = [m.package.sha256 for m in self._pipeline.models.values()]
        if len(hashes) == 1:
            return hashes[0]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()

    @property
    def models(self) -> dict[str, dict[str, str]]:
        """For each role the model's name, version and hashes, for the record."""
        return {
            role: {
                "name": m.package.name,
                "version": m.package.version,
                "path": str(m.package.onnx.path),
                "sha256": m.package.sha256,
                "described_sha256": m.package.described_sha256,
                "test_tensors": self.test_tensors.get(role, "untested"),
            }
            for role, m in self._pipeline.models.items()
        }

    def check(self, shape: tuple[int, int], pixel_size_um: float | None = None) -> None:
        """See whether frames of this shape (rows, columns) fit the models.

        Raises
        ------
        smartscope.errors.Refused
            If they do not.
        """
        self._pipeline.check(shape, pixel_size_um)

    def warm_up(self, frame: Frame, channels: tuple[str, ...] = ()) -> None:
        """Look at a frame once, so that the first real one is as quick as the rest.

        Nothing is learned of it.

        Parameters
        ----------
        frame : Frame
            Of the size and type to come.
        channels : tuple of str
            Those that will be looked at together; default: the frame's.

        Raises
        ------
        smartscope.errors.Refused
            If frames like this one do not fit the models.
        smartscope.errors.AnalysisFailed
            If a model fails on it.
        """
        if frame.pixels.ndim != 2:
            self._pipeline.run(frame.pixels)  # which says what is wrong with it
        named = channels or (frame.state.channel,)
        pixels = (frame.pixels,) * (len(named) * self.window)
        before = self.normalisation()
        planes = Planes(pixels, named, frame.state.pixel_size_um)
        self._pipeline.warm_up(planes)
        self.look(frame, planes)
        self.normalise_as(before)
        self.restored = None
        self.timings_ms = {}
        self._remarks = ()

    def detect(self, frame: Frame, /) -> Detections:
        """Return the things in a frame that is looked at by itself.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If a model fails on it or gives NaN or infinity.
        """
        state = frame.state
        return self.look(
            frame, Planes((frame.pixels,), (state.channel,), state.pixel_size_um)
        )

    def look(self, frame: Frame, planes: Planes) -> Detections:
        """Return the things in planes that are looked at together.

        Parameters
        ----------
        frame : Frame
            The newest of them, where things lie and whose raw counts are measured.
        planes : Planes
            All of them.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If a model fails on it or gives NaN or infinity.
        """
        inferred = self._pipeline.run(planes)
        started = time.perf_counter()
        pixel_um = frame.state.pixel_size_um
        found = self._found(frame.pixels, inferred, pixel_um)
        detections = placed(
            frame,
            found.centers,
            found.score,
            found.measured,
            min_area_px=self._min_area_um2 / pixel_um**2,
            class_names=self._pipeline.classes,
            class_id=found.class_id,
            polygons=found.polygons,
            labels=found.labels,
        )
        self.restored = inferred.restored
        self._remarks = (inferred.cut,) if inferred.cut else ()
        self.timings_ms = {
            **inferred.timings_ms,
            "head": (time.perf_counter() - started) * 1e3,
        }
        return detections

    def _found(
        self, pixels: npt.NDArray[Any], inferred: Inferred, pixel_um: float
    ) -> Found:
        """Return what the head finds."""
        pipeline = self._pipeline
        match pipeline.head:
            case "peaks" if inferred.outputs:
                distance_px = self._min_distance_um / pixel_um
                radius_px = self._radius_um / pixel_um
                return found_class_peaks(inferred, pixels, distance_px, radius_px)
            case "peaks":
                return self._peaks(pixels, inferred, pixel_um)
            case "components":
                return self._components(pixels, inferred, pixel_um)
            case "boxes":
                return found_boxes(inferred, pixels, len(pipeline.classes))
            case "stardist":
                return found_stars(inferred, pixels, pipeline.overlap)
            case "labels":
                return found_labels(inferred, pixels)
            case "classes":
                return found_class(inferred, pixels, pipeline.threshold)

    def _peaks(
        self, pixels: npt.NDArray[Any], inferred: Inferred, pixel_um: float
    ) -> Found:
        assert inferred.candidates is not None
        centers, score = decode_peaks(
            inferred.candidates, inferred.stride, self._min_distance_um / pixel_um
        )
        # the top of a thing that the edge cuts may lie a fraction of a pixel beyond
        centers = centers.clip(0, np.asarray(pixels.shape, np.float32) - 1)
        radius_px = self._radius_um / pixel_um
        return Found(centers, score, measure_around(pixels, centers, radius_px))

    def _components(
        self, pixels: npt.NDArray[Any], inferred: Inferred, pixel_um: float
    ) -> Found:
        assert inferred.map is not None
        seed_distance = None
        if self._seed_distance_um is not None:
            seed_distance = self._seed_distance_um / pixel_um / inferred.stride[0]
        labels, n = label_components(
            inferred.map, self._pipeline.threshold, seed_distance
        )
        found = Found(
            *decode_components(labels, n, inferred.map, pixels, inferred.stride)
        )
        if self.keep_labels and labels.shape == pixels.shape:
            return replace(found, labels=labels)
        return found
