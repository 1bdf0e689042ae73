"""Frames to decisions, one frame at a time.

No thread, no core, no clock: what it decides is a function of the frames with their
headers, of the outcomes and seeds it is given, and of the experiment. Nobody in here
draws a random number. `time.perf_counter` is read for durations only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from smartscope.acquisition import Frame, Limits
from smartscope.errors import AnalysisFailed, Refused, nearest
from smartscope.recognition import (
    Companions,
    Detections,
    Gathered,
    Gathering,
    ModelDetector,
    OccurrenceRecognizer,
    Tracker,
    load_detector,
)
from smartscope.reflex.audit import Audit
from smartscope.reflex.reaction import Reaction
from smartscope.reflex.seed import Seed
from smartscope.reflex.stimulated import StimulatedLight
from smartscope.response import (
    Arbiter,
    Observation,
    Outcome,
    PolicyPanel,
    Target,
)
from smartscope.settings import Experiment

if TYPE_CHECKING:
    from smartscope.inference import Corrections
    from smartscope.recognition import Detector

MAX_DETECTIONS = 5000


class Reflex:
    """Looks at a frame, recognises what happens, decides what to do.

    Parameters
    ----------
    experiment : Experiment
        What to look for and what to do about it.
    limits : Limits
        Of the microscope; those of the experiment tighten them.
    detector : Detector, optional
        In place of the one the experiment names.
    corrections : Corrections, optional
        Dark and flat field of the camera.
    asking : Callable, optional
        Told which policy is about to be asked, as `PolicyPanel` says.

    Raises
    ------
    smartscope.errors.Refused
        If a model or a policy cannot be loaded, or a policy answers an occurrence that
        the experiment does not name.
    """

    def __init__(
        self,
        experiment: Experiment,
        limits: Limits,
        detector: Detector | None = None,
        corrections: Corrections | None = None,
        asking: Callable[[int], None] | None = None,
    ) -> None:
        self.experiment = experiment
        self.limits = limits.tightened(experiment.limits)
        _check_hits(experiment)
        analysis = experiment.analysis
        self._corrected = corrections is not None
        self._asking = asking
        self.detector = detector or load_detector(
            analysis.detect,
            analysis.denoise,
            channels=analysis.channels,
            corrections=corrections,
            unverified=analysis.unverified,
        )
        self._begin()

    def _begin(self) -> None:
        """Start without a past."""
        experiment, analysis = self.experiment, self.experiment.analysis
        self._tracker = Tracker(analysis.track, analysis.measured)
        self._companions = Companions(analysis.ratio) if analysis.ratio else None
        self._recognizer = OccurrenceRecognizer(analysis.occurrences, analysis.track)
        self._panel = PolicyPanel(experiment.policies, self._asking)
        self._failed_since: list[str] = []
        self._stimulated = StimulatedLight()
        self._arbiter = Arbiter(
            self.limits,
            shadow=experiment.shadow,
            max_age_ms=experiment.max_age_ms,
            model_sha256=getattr(self.detector, "sha256", ""),
            sham=experiment.sham_shares,
            seed=experiment.seed,
        )
        self._audit = Audit(analysis.occurrences, analysis.track, analysis.measured)
        # only models see several frames at once; a detector of one's own is given each
        self._model: ModelDetector | None = None
        if isinstance(self.detector, ModelDetector):
            self._model = self.detector
            self._gathering = Gathering(analysis.channels, self._model.window)
            self._model.normalise_as({})
            self._normalisation: dict[str, Any] = {}

    def wants(self, frame: Frame) -> bool:
        """Return whether a frame is to be analysed: by its channel and its origin."""
        return self.experiment.analysis.looks_at(frame)

    def models(self) -> dict[str, Any]:
        """Return what is known of the detector: hash, providers, test tensors."""
        analysis = self.experiment.analysis
        return {
            "detect": analysis.detect.model,
            "denoise": analysis.denoise.model if analysis.denoise else None,
            "sha256": getattr(self.detector, "sha256", ""),
            "providers": getattr(self.detector, "providers", {}),
            "test_tensors": getattr(self.detector, "test_tensors", {}),
        }

    def warm_up(self, frame: Frame) -> None:
        """Let the detector prepare itself on a frame of the size to come.

        Raises
        ------
        smartscope.errors.SmartscopeError
            What the detector raises if it does not fit the frames.
        """
        # what matching imports when first used would make the first frame late
        import scipy.optimize
        import scipy.spatial.distance  # noqa: F401

        if isinstance(self.detector, ModelDetector):
            analysis = self.experiment.analysis
            presets = [c.config for c in self.experiment.survey.channels]
            for together in looked_at(analysis.channels, presets, self._corrected):
                self.detector.warm_up(frame, together)
            return
        warm_up = getattr(self.detector, "warm_up", None)
        if warm_up is not None:
            warm_up(frame)

    def step(self, frame: Frame) -> Reaction:
        """Look at one frame and decide.

        A frame whose set of channels is not complete waits, and is otherwise as if it
        had not come; so does one that only lends its counts to a ratio. A frame of an
        audit's look is recognised on its own: no policy is
        asked, no track of the survey sees it. If the detector fails, the reaction says
        so and nothing else has changed: no track is counted as missed and no policy is
        asked.
        """
        began = time.perf_counter()
        gathered: Gathered | None = None
        whole = frame
        if frame.origin == "audit":
            # what the detector keeps of the survey's frames is not disturbed
            frame = replace(frame, place=f"{frame.place} (audit)")
        pair = self._companions.take(frame) if self._companions is not None else None
        analysis = self.experiment.analysis
        if not analysis.finds_in(frame):
            return replace(self._unseen(whole, None), waits_for=analysis.channels)
        try:
            if self._model is not None:
                gathered = self._gathering.take(frame)
                if gathered.planes is None:
                    return self._unseen(whole, gathered)
            detections = _checked(self._look(frame, gathered))
        # a user's detector may raise anything; the run goes on and counts it
        except Exception as e:  # noqa: BLE001 - told in the reaction's failures
            if isinstance(e, Refused):
                e.state = ""  # it speaks of the time before a run
            took = {"inference": (time.perf_counter() - began) * 1e3}
            why = f"detector: {type(e).__name__}: {e}"
            blind = self._unseen(whole, gathered, failures=(why,), timings_ms=took)
            return replace(blind, blind=True)
        looked = time.perf_counter()
        if whole.origin == "audit":
            took = {"inference": (looked - began) * 1e3}
            return replace(
                self._unseen(whole, gathered, timings_ms=took),
                detections=detections,
                audited=self._audit.recognise(whole, detections, pair),
                normalisation=self._learned(),
            )

        tracking = self._tracker.update(frame, detections, pair)
        occurrences = self._recognizer.recognise(tracking, self._tracker)
        tracks = self._tracker.tracks(frame.place)
        recognised = time.perf_counter()

        restored = getattr(self.detector, "restored", None)
        seen = Observation(frame, detections, tracks, tuple(occurrences), restored)
        asked = self._panel.ask(seen)
        self._recognizer.chosen = frozenset(asked.chosen)
        decisions = self._arbiter.decide(seen, asked.wishes)
        self._stimulated.note(decisions, frame.state.power_percent)
        before, self._failed_since = self._failed_since, []
        failures = before + asked.failures + self._panel.tell(decisions)
        decided = time.perf_counter()
        return Reaction(
            frame_id=frame.frame_id,
            place=frame.place,
            time_s=frame.time_s,
            light_ms_percent=frame.light_ms_percent,
            detections=detections,
            tracks=tuple(tracks.values()),
            occurrences=tuple(occurrences),
            decisions=tuple(decisions),
            failures=tuple(failures),
            remarks=(
                *(gathered.remarks if gathered is not None else ()),
                *(self._model.remarks if self._model is not None else ()),
                *asked.remarks,
            ),
            next_track_id=self._tracker.next_id,
            timings_ms={
                "inference": (looked - began) * 1e3,
                "recognition": (recognised - looked) * 1e3,
                "response": (decided - recognised) * 1e3,
            },
            window=gathered.window if gathered is not None else "",
            incomplete_sets=gathered.incomplete if gathered is not None else 0,
            normalisation=self._learned(),
            policy_faults=self._panel.faults(),
            restored=restored,
        )

    def look_alone(self, frame: Frame) -> Detections | None:
        """Return the things in a frame, whatever came before it.

        None where that cannot be known: a detector of one's own, several channels or
        frames together, statistics of a series. Nothing is remembered of the frame.
        """
        model = self._model
        if model is None or model.channels > 1 or model.window > 1:
            return None
        before = model.normalisation()
        detections = _checked(model.detect(frame))
        alone = not before and not model.normalisation()
        model.normalise_as(before)
        return detections if alone else None

    def _look(self, frame: Frame, gathered: Gathered | None) -> Detections:
        if self._model is None or gathered is None or gathered.planes is None:
            return self.detector.detect(frame)
        return self._model.look(frame, gathered.planes)

    def _learned(self) -> dict[str, Any] | None:
        """Return the statistics of the series if they are others than before."""
        if self._model is None:
            return None
        now = self._model.normalisation()
        if now == self._normalisation:
            return None
        self._normalisation = now
        return now

    def take(self, outcome: Outcome) -> None:
        """Learn what became of a granted decision."""
        self._arbiter.take(outcome)
        for track_id, light in self._stimulated.take(outcome):
            self._tracker.charge(track_id, light)
        self._failed_since += self._panel.tell([outcome])

    def point(self, target: Target) -> None:
        """Learn where a person has pointed at."""
        self._failed_since += self._panel.point(target)

    def seed(self, seed: Seed) -> None:
        """Go on where an earlier process ended; what was known before is dropped."""
        self._begin()
        alive = seed.alive()
        self._tracker.seed(alive, seed.next_track_id, seed.accounts)
        self._recognizer.seed(seed.occurrences, [track.track_id for track in alive])
        self._arbiter.seed(seed.decisions, seed.outcomes, seed.accounts)
        for track_id, light in self._stimulated.resume(seed):
            self._tracker.charge(track_id, light)
        if self._model is not None:
            self._model.normalise_as(seed.normalisation)
            self._normalisation = self._model.normalisation()
        self._panel.switch_off(seed.switched_off)
        self._failed_since += self._panel.tell(seed.decisions)
        self._failed_since += self._panel.tell(seed.outcomes)

    def _unseen(
        self,
        frame: Frame,
        gathered: Gathered | None,
        *,
        failures: tuple[str, ...] = (),
        timings_ms: Mapping[str, float] | None = None,
    ) -> Reaction:
        """Return what is said of a frame that was not looked at."""
        return Reaction(
            frame_id=frame.frame_id,
            place=frame.place,
            time_s=frame.time_s,
            light_ms_percent=frame.light_ms_percent,
            detections=Detections.empty(),
            tracks=tuple(self._tracker.tracks(frame.place).values()),
            failures=failures,
            remarks=gathered.remarks if gathered is not None else (),
            next_track_id=self._tracker.next_id,
            timings_ms=timings_ms or {},
            waits_for=gathered.waits_for if gathered is not None else (),
            window=gathered.window if gathered is not None else "",
            incomplete_sets=gathered.incomplete if gathered is not None else 0,
            normalisation=self._learned(),
        )


def looked_at(
    channels: Sequence[str], presets: Sequence[str], corrected: bool
) -> list[tuple[str, ...]]:
    """Return what a model will look at together, one entry for each graph of it.

    Parameters
    ----------
    channels : Sequence of str
        Of the analysis.
    presets : Sequence of str
        Of the survey.
    corrected : bool
        The channels have flat fields of their own, and so graphs of their own.
    """
    if len(channels) > 1:
        return [tuple(channels)]
    names = list(dict.fromkeys(channels or presets or [""]))
    return [(name,) for name in (names if corrected else names[:1])]


def _checked(detections: object) -> Detections:
    """Return the detections if the tracker can live with them.

    Raises
    ------
    smartscope.errors.AnalysisFailed
        If they are something else, hold what is not finite, or are far too many.
    """
    if not isinstance(detections, Detections):
        raise AnalysisFailed(
            f"It returned {type(detections).__name__}, not Detections.",
            rule="A detector returns Detections.",
        )
    if len(detections) > MAX_DETECTIONS:
        raise AnalysisFailed(
            f"It found {len(detections)} things in one frame.",
            rule=f"More than {MAX_DETECTIONS} are taken for noise.",
            way_out="Raise its threshold or its smallest area.",
        )
    for name in ("centers_um", "centers_px", "intensity"):
        if not np.isfinite(getattr(detections, name)).all():
            raise AnalysisFailed(
                f"Its {name} are not all finite.", rule="Things have finite numbers."
            )
    return detections


def _check_hits(experiment: Experiment) -> None:
    known = experiment.analysis.occurrences
    for settings in experiment.response:
        for name in getattr(settings, "on", ()):
            if name not in known:
                raise Refused(
                    f"The policy {settings.label!r} answers {name!r}, which is no "
                    f"occurrence of this experiment.{nearest(name, known)}",
                    rule="'on' names occurrences of analysis.occurrences.",
                    way_out=f"Known here: {', '.join(known) or 'none'}.",
                )
