"""One run: the threads of the acquisition process and the rules by which it ends.

It alone closes the circle: events → frames → storage and analysis → decisions → events.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from smartscope.acquisition import (
    EngineListener,
    EventTag,
    Frame,
    SmartEngine,
    VirtualClock,
    camera_labels,
    sequenced,
)
from smartscope.errors import AnalysisFailed, BrokenOff, SmartscopeError
from smartscope.loop.analyst import AnalystListener
from smartscope.loop.approval import Answer, ApprovalDesk
from smartscope.loop.assembly import (
    analyst_for,
    focus_for,
    light_budget_for,
    readings_for,
)
from smartscope.loop.images import image_of, survey_images, survey_places
from smartscope.loop.messenger import Messenger
from smartscope.loop.pointing import Pointing
from smartscope.loop.progress import Progress
from smartscope.loop.witness import Witness
from smartscope.response import EditRefused, Outcome, Planner, Target
from smartscope.settings import tour_plans
from smartscope.signals import RunSignals
from smartscope.storage import Journal, Recorder, RunFolder, SurveyStore
from smartscope.telemetry import Telemetry

if TYPE_CHECKING:
    from pymmcore_plus.mda import PMDAEngine
    from useq import MDAEvent

    from smartscope.microscope import Microscope
    from smartscope.settings import Experiment

_POLL_S = 0.05
_PROGRESS_S = 0.25


class RunLoop:
    """Acquires, records, analyses and reacts until the survey has ended.

    Parameters
    ----------
    experiment : Experiment
        Checked against the microscope.
    microscope : Microscope
        Open and armed.
    folder : RunFolder
        Of the run.
    expected_s : float or None
        Planned length, for the progress.
    calibration : list of dict
        Dark and flat field in the folder, as ``write_calibration`` says.
    in_process : bool
        The reflex in this process, for tests and debugging.
    analyse : bool
        False: frames are recorded, and nobody looks at them.
    signals : RunSignals, optional
        Emitted as things happen.
    targets : sequence of Target
        Where a person has pointed at beforehand.
    """

    def __init__(
        self,
        experiment: Experiment,
        microscope: Microscope,
        folder: RunFolder,
        *,
        expected_s: float | None = None,
        calibration: Sequence[dict[str, Any]] = (),
        in_process: bool = False,
        analyse: bool = True,
        signals: RunSignals | None = None,
        targets: Sequence[Target] = (),
    ) -> None:
        self.experiment = experiment
        self._targets = targets
        self.folder = folder
        self.calibration = list(calibration)
        self.scope = microscope
        self.core = microscope.core
        self.clock = microscope.clock
        self.telemetry = Telemetry()
        self.journal = Journal(folder.journal)
        self.witness = Witness(
            self.journal, self.telemetry, self.clock, expected_s, signals
        )
        self.recorder = Recorder(
            folder,
            self.journal,
            experiment.storage,
            self.telemetry,
            cameras=camera_labels(microscope.core),
        )
        storage = experiment.storage
        self.kept = SurveyStore(self.recorder, storage, self.telemetry, self.journal)
        # where all is stored, nobody stands between camera and disk
        self._store = self.recorder if storage.survey == "all" else self.kept
        self.light = light_budget_for(experiment, microscope)
        self.error: BaseException | None = None
        self.stopped = ""
        self.models: dict[str, Any] = {}
        self._standing_off = False
        self._engine_before: PMDAEngine | None = None
        self._last_asked_id = -1
        self._held = False
        self._acquired = threading.Event()
        for image in survey_images(experiment.survey):
            self.recorder.declare(image)
        self.engine = SmartEngine(
            self.core,
            EngineListener(
                frame=self._on_frame,
                done=self._on_done,
                incomplete=self._on_incomplete,
                interrupted=self._on_interrupted,
                refused=self._on_refused,
                told=lambda event, what: self.planner.told(event, what),
                focused=lambda event, found: self.planner.focused(event, found),
                yields=lambda: self.planner.yields(),
            ),
            self.clock,
            self.light,
            microscope.orientation,
            setup=experiment.survey.setup,
            readings=readings_for(experiment, microscope),
        )
        self._analyst = analyst_for(
            experiment,
            microscope,
            folder,
            AnalystListener(
                result=self._on_result,
                skipped=self.witness.skipped,
                given=self.witness.given,
                failed=self.witness.failed,
                dead=self._on_dead,
            ),
            self.telemetry,
            calibration=self.calibration,
            in_process=in_process,
            analyse=analyse,
        )
        self._signals = signals or RunSignals()
        self._desk = (
            ApprovalDesk(
                experiment.approve,
                asked=lambda *asked: self._signals.tell("decisionAsked", *asked),
                answered=self._on_answer,
            )
            if experiment.approve is not None
            else None
        )
        self._pointing = Pointing(
            survey_places(experiment.survey),
            listens=experiment.follows_clicks,
            clock=self.clock,
            give=self._analyst.give,
            note=self.witness.note,
        )
        self._messenger = Messenger(
            lambda *told: self.planner.notified(*told),
        )

    # ---------------------------------------------------------------- running

    def run(self, progress: Callable[[Progress], None] | None = None) -> None:
        """Run until the survey ends, something breaks, or ``stop`` is called.

        What broke it is in ``error``; nothing is raised but for KeyboardInterrupt in
        the calling thread, which stops the run in order.
        """
        try:
            self.models = self._analyst.start()
            if hasattr(self.clock, "restart"):
                self.clock.restart()
            synchronized = self.experiment.mode == "synchronized"
            self.planner = Planner(
                self.experiment.survey,
                self.clock,
                outcome=self._on_outcome,
                telemetry=self.telemetry,
                merge=partial(sequenced, self.core),
                merge_survey=self.experiment.hardware_sequencing and not synchronized,
                gate=self._wait_for_decision if synchronized else _no_gate,
                settle=self._settle,
                time_scale=getattr(self.clock, "scale", 1.0),
                max_age_ms=self.experiment.max_age_ms,
                channel_group=self.scope.channel_group,
                declare=lambda action, image: self.recorder.declare(
                    image_of(action, image)
                ),
                notify=self._messenger.send,
                keep=self.kept.keep,
                dark=self.experiment.dark_places(),
                has_power=self.scope.settings.light.power_property is not None,
                slm=self.scope.slm_map(),
                longest_wait_s=self.experiment.longest_wait_s,
                tours=tour_plans(self.experiment),
                limits=self.scope.limits,
                focus=focus_for(self.experiment, self.scope, self.witness.focused),
            )
            if self._desk is not None:
                self._signals.decisionAnswered.connect(self._desk.answer)
            self._signals.decisionEdited.connect(self._on_edit)
            self._signals.targetChosen.connect(self._pointing.choose)
            for target in self._targets:
                self._pointing.choose(target.place, target.x_um, target.y_um)
            self._engine_before = self.core.mda.set_engine(self.engine)
            runner = threading.Thread(target=self._acquire, name="runner")
            runner.start()
            self._attend(progress)
            runner.join()
        except BaseException as e:
            self.error = self.error or e
            if not isinstance(e, Exception):
                raise
        finally:
            self._end()

    def _acquire(self) -> None:
        # the runner writes every event into its log; the journal of the run has more
        # of it, and the camera would wait for the text
        log = logging.getLogger("pymmcore-plus")
        level = log.level
        log.setLevel(logging.ERROR)
        try:
            self.core.mda.run(self.planner.queue)
        except BaseException as e:  # noqa: BLE001 told by whoever waits for the thread
            self.error = self.error or e
        finally:
            log.setLevel(level)
            if left := self.engine.not_set_back:
                self.error = self.error or BrokenOff(
                    f"{'; '.join(left)}.", way_out="Set it by hand."
                )
            self._dark()
            self._acquired.set()

    def _attend(self, progress: Callable[[Progress], None] | None) -> None:
        shown_s = 0.0
        # an event, and not the thread itself: before Python 3.13 a Ctrl-C during
        # join() makes a thread that still runs look as if it had ended
        while not self._acquired.is_set():
            try:
                self._acquired.wait(_POLL_S)
                if self._desk is not None:
                    self._desk.look()
                if self._held and not self.recorder.behind:
                    self._held = False
                    self.planner.queue.hold(False)
                if progress is not None and time.monotonic() - shown_s > _PROGRESS_S:
                    shown_s = time.monotonic()
                    progress(self.witness.progress())
            except KeyboardInterrupt:
                self.stop("stopped by the user (Ctrl-C)")
            except Exception as e:  # noqa: BLE001 told at the end; the run is ended
                self.error = self.error or e
                self.stop(f"the program failed: {e!r}")
        if progress is not None:
            progress(self.witness.progress())

    def stop(self, why: str) -> None:
        """End the run in order; may be called from any thread."""
        self.stopped = self.stopped or why
        self.planner.finish()
        self._analyst.release()
        self.core.mda.cancel()
        self.engine.halt()
        self.planner.queue.close(drop=True)

    def _end(self) -> None:
        pressed_again: KeyboardInterrupt | None = None
        for step in (
            self._dark,
            self._close_desk,
            self._messenger.close,
            self._finish_planner,
            self._give_core_back,
            self._analyst.close,
            self.kept.close,
            self.recorder.close,
        ):
            try:
                step()
            except KeyboardInterrupt as e:
                pressed_again = e
            except Exception as e:  # noqa: BLE001 the other steps must still be done
                self.error = self.error or e
        if pressed_again is not None:
            raise pressed_again

    def _finish_planner(self) -> None:
        if hasattr(self, "planner"):
            self.planner.finish()

    def _close_desk(self) -> None:
        self._signals.decisionAnswered.disconnect(missing_ok=True)
        self._signals.decisionEdited.disconnect(missing_ok=True)
        self._signals.targetChosen.disconnect(missing_ok=True)
        if self._desk is not None:
            self._desk.close()

    def _give_core_back(self) -> None:
        # a core that holds our engine, which holds the core, would never be freed
        if self._engine_before is not None:
            self.core.mda.set_engine(self._engine_before)

    def _dark(self) -> None:
        try:
            self.core.dark()
        except Exception as e:  # noqa: BLE001 a run must end; the user is told
            self.error = self.error or BrokenOff(
                f"The light could not be put out: {e}",
                way_out="Close the shutter by hand.",
            )

    # ---------------------------------------------------------------- runner's thread

    def _on_frame(self, frame: Frame) -> None:
        began = time.perf_counter()
        self.telemetry.count("frames_acquired")
        tag = EventTag.of(frame.event)
        self._store.append(frame, image=tag.image, index=tag.index)
        if self.experiment.analysis.looks_at(frame):
            self._analyst.submit(frame)
            self._last_asked_id = frame.frame_id
        self.witness.frame(frame)
        if self.recorder.behind and not self._held:
            self._held = True
            self.planner.queue.hold(True)
            self.engine.interrupt()
            self.telemetry.count("disk_waits")
            self.witness.note("warning", "The disk is behind; the microscope waits.")
        self.telemetry.took("hand_over", (time.perf_counter() - began) * 1e3)

    def _on_done(self, event: MDAEvent, frames: int) -> None:
        self.planner.done(event, frames)

    def _on_incomplete(self, event: MDAEvent, cameras: Sequence[str]) -> None:
        self.telemetry.count("exposures_incomplete")
        self.witness.note(
            "warning",
            f"A sequence at {EventTag.of(event).place} was ended between the cameras: "
            f"its last exposure has no frame of {', '.join(cameras)}.",
        )

    def _on_interrupted(self, events: Any) -> None:
        self.planner.interrupted(events)

    def _on_refused(self, event: MDAEvent, why: str) -> None:
        self.telemetry.count("events_refused")
        self.witness.note("warning", f"An event was not run: {why}")
        self.planner.refused(event, why)

    def _wait_for_decision(self) -> None:
        """Synchronized: the next event of the survey waits for the last frame's."""
        if self._last_asked_id < 0:
            return
        virtual = isinstance(self.clock, VirtualClock)
        # in virtual time no wall clock may have a say
        timeout_s = None if virtual else self.experiment.max_wait_ms / 1e3
        if not self._analyst.wait_for(self._last_asked_id, timeout_s):
            self.telemetry.count("frames_late")
            self.witness.note(
                "warning",
                f"No decision on frame {self._last_asked_id} within "
                f"{self.experiment.max_wait_ms:g} ms; the survey went on.",
            )

    def _settle(self) -> None:
        self._analyst.settle(None)
        if self._desk is not None:
            self._desk.wait(lambda: bool(self.stopped))

    # ---------------------------------------------------------------- analyst's thread

    def _on_result(self, record: dict[str, Any]) -> None:
        handed_over_s = record["handed_over_s"]
        decided_ms = (time.monotonic() - handed_over_s) * 1e3
        record["decide_ms"] = round(decided_ms, 3)
        if not record.get("waits_for"):
            self.telemetry.took("decide", decided_ms)
            if len(self.experiment.analysis.channels) > 1:
                self.telemetry.count("sets_analysed")
        if lost := record.get("incomplete_sets", 0):
            self.telemetry.count("sets_incomplete", lost)
        decisions = self.witness.analysed(record)
        if self._standing_off:
            return
        for decision in decisions:
            if decision.granted is None:
                continue
            if self._desk is not None and self._desk.wants(decision):
                self._desk.ask(decision)
            else:
                self.planner.act(decision)

    def _on_answer(self, answer: Answer) -> None:
        decision = answer.decision
        self._analyst.give(
            {
                "input": "answer",
                "decision_id": decision.decision_id,
                "yes": answer.yes,
                "why": answer.why,
            }
        )
        self.witness.note(
            "info", f"{decision.policy}, {decision.decision_id}: {answer.why}"
        )
        if not answer.yes:
            self.planner.declined(decision.decision_id, answer.why)
            return
        # the time a person took is no fault of the decision
        most = (decision.max_age_ms or self.experiment.max_age_ms) + answer.waited_ms
        self.planner.act(decision.model_copy(update={"max_age_ms": most}))

    def _on_edit(self, decision_id: str, changes: dict[str, Any]) -> None:
        told = ", ".join(f"{key} {value}" for key, value in changes.items())
        limits = self.scope.limits
        try:
            if self._desk is None or not self._desk.edit(decision_id, changes, limits):
                self.planner.edit(decision_id, changes)
        except EditRefused as e:
            self.witness.note("warning", f"{decision_id} was not changed: {e}.")
            self._signals.tell("editRefused", decision_id, str(e))
            return
        self._analyst.give(
            {"input": "edit", "decision_id": decision_id, "changes": changes}
        )
        self.witness.note("info", f"{decision_id} was changed by a person: {told}")

    def _on_outcome(self, outcome: Outcome) -> None:
        self.witness.outcome(outcome)
        self._analyst.give({"input": "outcome", "outcome": outcome.to_record()})

    def _on_dead(self, why: str) -> None:
        self._standing_off = True
        self.witness.fail(f"The analysis has ended for this run: {why}.")
        if told := self.kept.keep_all("the analysis has ended"):
            self.witness.note("warning", told)
        if self.experiment.analysis.on_failure == "fall_back":
            self.planner.fall_back()

    # ---------------------------------------------------------------- the end

    def verdict(self) -> tuple[str, int, str]:
        """Return outcome, exit code and reason."""
        error = self.error
        if isinstance(error, AnalysisFailed):
            return "refused", 2, str(error)
        if error is not None:
            told = str(error) if isinstance(error, SmartscopeError) else repr(error)
            return "broken_off", 4, told
        if self.stopped:
            return "stopped", 130, self.stopped
        if self.witness.degraded:
            return "degraded", 3, "; ".join(self.witness.degraded[:5])
        if self.planner.ended_by:
            return "completed", 0, f"the survey was ended by {self.planner.ended_by}"
        return "completed", 0, "the survey has ended"


def _no_gate() -> None:
    """Free run: nobody waits."""
