"""From an experiment to a finished run folder."""

from __future__ import annotations

import contextlib
import logging
import platform
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from smartscope.errors import AnalysisFailed, Refused
from smartscope.loop.close import controls, score, summarise_and_draw, visits
from smartscope.loop.progress import Progress, RunResult
from smartscope.loop.rivals import compare_at_close
from smartscope.loop.run_loop import RunLoop
from smartscope.microscope import Microscope, open_microscope
from smartscope.preflight import Checked, check
from smartscope.response import Target, VisitSettings
from smartscope.settings import Experiment
from smartscope.signals import RunSignals
from smartscope.storage import RunFolder, write_calibration

_log = logging.getLogger(__name__)

_LIBRARIES = (
    "smartscope",
    "pymmcore-plus",
    "pymmcore",
    "useq-schema",
    "numpy",
    "scipy",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorstore",
)


def run(
    experiment: Experiment | str | Path,
    out: str | Path | None = None,
    *,
    microscope: str | None = None,
    shadow: bool | None = None,
    progress: Callable[[Progress], None] | None = None,
    in_process: bool = False,
    analyse: bool = True,
    signals: RunSignals | None = None,
    targets: Sequence[Target] = (),
) -> RunResult:
    """Run an experiment and return how it ended; the data are in its folder.

    Parameters
    ----------
    experiment : Experiment or path
        The experiment, or its file.
    out : path, optional
        Folder of the run; must not exist. Default: ``runs/<time>_<name>``.
    microscope : str, optional
        Instead of the experiment's: name of a shipped one, or path of its .toml.
    shadow : bool, optional
        Instead of the experiment's: decide and record, react to nothing.
    progress : Callable, optional
        Called about four times a second with a snapshot.
    in_process : bool
        Analyse in this process, for tests and debugging; a hanging model then hangs
        the run.
    analyse : bool
        False: frames are recorded, and nobody looks at them or reacts.
    signals : RunSignals, optional
        Emitted as things happen.
    targets : sequence of Target
        Cells to follow, pointed at before the first frame (``choose: click``).

    Raises
    ------
    smartscope.errors.Refused
        If anything is wrong that can be known before; nothing has moved.
    """
    if not isinstance(experiment, Experiment):
        experiment = Experiment.load(experiment)
    update: dict[str, Any] = {}
    if microscope is not None:
        update["microscope"] = microscope
    if shadow is not None:
        update["shadow"] = shadow
    if update:
        experiment = experiment.model_copy(update=update)
    path = None if out is None else Path(out)
    with open_microscope(
        experiment.microscope,
        specimen=experiment.specimen,
        seed=experiment.seed,
        limits=experiment.limits,
    ) as scope:
        experiment = with_fields(experiment, scope)
        checked = check(experiment, scope, path, targets=targets)
        folder = RunFolder.create(path, experiment.name, need_mb=checked.need_mb)
        try:
            calibration = _copied_calibration(experiment, scope, folder)
            with _logging_to(folder.log):
                loop = RunLoop(
                    experiment,
                    scope,
                    folder,
                    calibration=calibration,
                    expected_s=checked.duration_s,
                    in_process=in_process,
                    analyse=analyse,
                    signals=signals,
                    targets=targets,
                )
                return _run_in(loop, folder, checked, progress)
        except Refused:
            # nothing was acquired: not even a folder stays
            folder.discard()
            raise


def _run_in(
    loop: RunLoop,
    folder: RunFolder,
    checked: Checked,
    progress: Callable[[Progress], None] | None,
) -> RunResult:
    experiment, scope = loop.experiment, loop.scope
    content = _provenance(experiment, scope)
    content["notices"] = [*scope.notices, *checked.notices]
    content["calibration"] = loop.calibration
    folder.write_run_json(content)
    _log.info(
        "%s on %s, about %s s, %s frames planned",
        experiment.name,
        scope.name,
        checked.duration_s,
        checked.frames,
    )
    for notice in (*scope.notices, *checked.notices):
        loop.witness.note("info", notice)
    loop.run(progress)
    if isinstance(loop.error, AnalysisFailed):
        loop.journal.close()
        raise Refused(
            f"The analysis did not start: {loop.error}",
            rule="Nothing is begun without the analysis that was asked for.",
            way_out="What the analysis process said stands above; correct the detector "
            "or the policies.",
        ) from loop.error
    outcome, exit_code, reason = loop.verdict()
    loop.witness.close(outcome, exit_code, reason)
    _log.info("%s (exit code %d): %s", outcome, exit_code, reason)
    loop.journal.close()
    content.update(
        models=loop.models,
        outcome=outcome,
        exit_code=exit_code,
        reason=reason,
        duration_s=scope.clock.now_s(),
        light_ms_percent=loop.light.total(),
        counts=loop.telemetry.counts(),
        latencies=loop.telemetry.latencies(),
    )
    folder.write_run_json(content)
    truth = scope.truth()
    if truth is not None:
        folder.write_truth(truth.to_record())
    content["scores"] = score(folder, truth, experiment)
    content["controls"] = controls(folder, experiment)
    content["visits"] = visits(folder, experiment, content["scores"])
    folder.write_run_json(content)
    if outcome in ("completed", "degraded"):  # who stops a run does not want to wait
        content["rivals"] = compare_at_close(folder, experiment)
        folder.write_run_json(content)
    summary = summarise_and_draw(folder)
    return RunResult(folder.path, outcome, exit_code, reason, summary)


def with_fields(experiment: Experiment, scope: Microscope) -> Experiment:
    """Return the experiment with the field of view written into grids and visits.

    useq takes tiles of 1 µm where a grid does not say how large a field is.
    """
    survey = experiment.survey.model_copy(deep=True)
    rows, columns = scope.camera_shape()
    pixel_um = scope.core.getPixelSizeUm()
    inner = [p.sequence.grid_plan for p in survey.stage_positions if p.sequence]
    for plan in (survey.grid_plan, *inner):
        if plan is not None and plan.fov_width is None and plan.fov_height is None:
            plan.fov_width, plan.fov_height = columns * pixel_um, rows * pixel_um
    field_um = max(rows, columns) * pixel_um
    response = tuple(
        _with_field(policy, scope, field_um)
        if isinstance(policy, VisitSettings)
        else policy
        for policy in experiment.response
    )
    return experiment.model_copy(update={"survey": survey, "response": response})


def _with_field(
    policy: VisitSettings, scope: Microscope, field_um: float
) -> VisitSettings:
    """Return the policy with what its objective lights, for the accounts of light."""
    rules, label = scope.turret, policy.objective
    if policy.field_um is not None:
        return policy
    if label is not None:
        if rules is None:
            return policy
        ours = rules.of(str(scope.core.getStateLabel(rules.device))).pixel_size_um
        theirs = rules.of(label).pixel_size_um
        if not ours * theirs > 0:
            return policy
        field_um *= theirs / ours
    return policy.model_copy(update={"field_um": field_um})


def _copied_calibration(
    experiment: Experiment, scope: Microscope, folder: RunFolder
) -> list[dict[str, Any]]:
    """Copy what frames are corrected by into the folder and say what it is."""
    calibration = scope.calibration if experiment.analysis.correct else None
    if calibration is None:
        return []
    return write_calibration(folder.path, calibration.corrections, calibration.sources)


def _provenance(experiment: Experiment, scope: Microscope) -> dict[str, Any]:
    versions = {"python": platform.python_version(), "system": platform.platform()}
    for library in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            versions[library] = version(library)
    return {
        "format": 1,
        "name": experiment.name,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "experiment": experiment.model_dump(mode="json"),
        "microscope": scope.describe(),
        "limits": scope.limits.model_dump(mode="json"),
        "versions": versions,
        "seed": experiment.seed,
        "own_modules": _own_modules(experiment),
    }


def _own_modules(experiment: Experiment) -> dict[str, str]:
    """Return the file of each module that policies and detector come from."""
    names = [getattr(policy, "policy", "") for policy in experiment.response]
    found = {}
    for name in (*names, experiment.analysis.detect.model):
        module, colon, _ = name.partition(":")
        file = getattr(sys.modules.get(module), "__file__", None) if colon else None
        if file:
            found[module] = str(Path(file).absolute())
    return found


@contextlib.contextmanager
def _logging_to(path: Path) -> Any:
    """Write what smartscope and pymmcore-plus log into the run's own file."""
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setLevel(logging.INFO)
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    own = logging.getLogger("smartscope")
    level = own.level
    own.setLevel(logging.INFO)
    loggers = [own, logging.getLogger("pymmcore-plus")]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        own.setLevel(level)
        handler.close()
