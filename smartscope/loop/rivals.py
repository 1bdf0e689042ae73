"""Is the detector needed? Others look at what a run has stored, and are told apart.

Every detector, the run's own one included, goes through the same reflex over the same
frames, from the same beginning. Nothing moves, nothing of it goes into the journal.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import Frame, Limits
from smartscope.errors import Refused, SmartscopeError
from smartscope.inference import DetectSettings
from smartscope.recognition import Occurrence
from smartscope.reflex import Reflex, rival_of
from smartscope.settings import Experiment
from smartscope.simulation import Truth, TruthEvent
from smartscope.storage import Run, RunFolder, read_calibration
from smartscope.telemetry import percentiles
from smartscope.validation import (
    f1,
    labels_of,
    matched,
    score_occurrences,
    tell_rivals,
    views,
)

_log = logging.getLogger(__name__)

Record = dict[str, Any]
Spots = npt.NDArray[np.float64]

_LEAST = 12  # frames of a place: fewer show no course of things
_DISTANCE_UM = 5.0  # the same thing, where the detector does not say
_TOLERANCE_S = 300.0


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The frames that are looked at.

    ``frame_ids`` in the order in which they were analysed, ``whole`` those in which
    things were found: the others only belong to their sets. ``of`` is how many there
    are of the latter all in all, ``places`` how many places they are of.
    """

    frame_ids: tuple[int, ...]
    whole: frozenset[int]
    of: int
    places: int


@dataclass(slots=True)
class _Seen:
    """What one detector has made of the frames."""

    spots: dict[int, Spots] = field(default_factory=dict)
    occurrences: list[Occurrence] = field(default_factory=list)
    took_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def compare(
    run: Run, rivals: Sequence[DetectSettings] = (), *, frames: int | None = None
) -> Record:
    """Let other detectors look at the frames of a run, and say how they compare.

    Of each place the same share of frames is taken, in a row, from the middle of the
    run; where that would be fewer than 12, fewer places are.

    Parameters
    ----------
    run : Run
        Finished or broken off.
    rivals : sequence of DetectSettings
        The others; default: those of the experiment.
    frames : int, optional
        At most so many frames; default: as the experiment says.

    Returns
    -------
    dict
        ``main`` (name of the run's own detector), ``frames``, ``of``, ``places``,
        ``truth`` (whether it is known what happened), ``distance_um``, ``says``, and
        ``detectors``: by name ``frames``, ``things_per_frame``, ``things_f1`` (with
        the main one), ``occurrences`` by name, ``events``, ``caught``, ``missed``,
        ``false``, ``recall``, ``precision``, ``delay_s`` (against the truth; without
        one against the main detector's occurrences), ``ms_p50``, ``ms_p95`` and
        ``failed`` (why, where it could not be used).

    Raises
    ------
    smartscope.errors.Refused
        If the run's experiment is not known, or there is nothing to compare.
    """
    if not run.experiment:
        raise Refused(
            f"{run.path} does not say which experiment it was: run.json is missing or "
            "broken.",
            rule="Detectors are compared with the settings of the run.",
            way_out="Bring run.json back from a copy of the run.",
            state="",
        )
    experiment = Experiment.parse(run.experiment)
    rivals = tuple(rivals) or experiment.analysis.rivals
    if not rivals:
        raise Refused(
            "There is no other detector to compare with.",
            rule="Each is named with --detect, or in analysis.rivals.",
            way_out="Such as --detect otsu --detect log.",
            state="",
        )
    _own_modules(run)
    analysis = experiment.analysis
    chosen = _choose(run, frames or analysis.rivals_frames)
    settings = [analysis.detect, *rivals]
    names = labels_of([s.model for s in settings])
    main = names[0]
    seen: dict[str, _Seen] = {}
    for name, each in zip(names, settings, strict=True):
        _log.info("%s looks at %s frames again", name, len(chosen.frame_ids))
        seen[name] = _look(run, experiment, each, chosen)
    truth = _truth(run, experiment)
    events = truth or _as_truth(seen[main].occurrences, experiment)
    headers = [run.header(i) for i in chosen.frame_ids if i in chosen.whole]
    distance_um = analysis.detect.min_distance_um or _DISTANCE_UM
    rows = {
        name: {
            **_things(each, seen[main], distance_um),
            **_happened(each, events, headers),
        }
        for name, each in seen.items()
    }
    return {
        "main": main,
        "frames": len(chosen.whole),
        "of": chosen.of,
        "places": chosen.places,
        "truth": truth is not None,
        "distance_um": distance_um,
        "detectors": rows,
        "says": tell_rivals(
            main, rows, truth=truth is not None, frames=len(chosen.whole)
        ),
    }


def compare_at_close(folder: RunFolder, experiment: Experiment) -> Record:
    """Compare the experiment's rivals over the run in a folder; ``{}`` without any."""
    if not experiment.analysis.rivals:
        return {}
    try:
        return compare(Run.open(folder.path))
    except Exception as e:  # noqa: BLE001 the run is over and safe
        _log.exception("The detectors could not be compared")
        return {"says": f"The detectors could not be compared: {e!r}"}


def _own_modules(run: Run) -> None:
    """Let detectors of one's own be found where they lay when the run was made."""
    for file in (run.record.get("own_modules") or {}).values():
        folder = str(Path(file).parent)
        if Path(file).is_file() and folder not in sys.path:
            sys.path.append(folder)


def _choose(run: Run, most: int) -> _Chosen:
    stored = {int(f["frame_id"]) for f in run.frames if f["origin"] == "survey"}
    by_place: dict[str, list[tuple[int, bool]]] = {}
    for line in run.analysed:
        if line["frame_id"] in stored and not line["failures"]:
            whole = not line.get("waits_for")
            by_place.setdefault(line["place"], []).append((line["frame_id"], whole))
    lines = list(by_place.values())
    of = sum(whole for each in lines for _, whole in each)
    if sum(map(len, lines)) > most:
        n = min(len(lines), max(1, most // _LEAST))
        picked = np.linspace(0, len(lines) - 1, n).round().astype(int)
        lines = [_middle(lines[i], max(1, most // n)) for i in picked.tolist()]
    order = {int(line["frame_id"]): i for i, line in enumerate(run.analysed)}
    ids = sorted((i for each in lines for i, _ in each), key=order.__getitem__)
    whole_ids = frozenset(i for each in lines for i, whole in each if whole)
    return _Chosen(tuple(ids), whole_ids, of, len(lines))


def _middle(frames: list[tuple[int, bool]], most: int) -> list[tuple[int, bool]]:
    """Return so many in a row from the middle, none of a set that began before."""
    start = max(0, (len(frames) - most) // 2)
    while 0 < start < len(frames) and not frames[start - 1][1]:
        start += 1
    return frames[start : start + most]


def _look(
    run: Run, experiment: Experiment, detect: DetectSettings, chosen: _Chosen
) -> _Seen:
    """Let one detector look at the frames."""
    seen = _Seen()
    if not chosen.frame_ids:
        return seen
    whole = next(i for i in chosen.frame_ids if i in chosen.whole)
    first = run.header(whole)
    among = experiment.analysis.channels
    at = first["camera"] if first["camera"] in among else first["state"]["channel"]
    asked = rival_of(experiment, detect, at)
    try:
        reflex = Reflex(
            asked,
            Limits.model_validate(run.record.get("limits") or {}),
            corrections=read_calibration(run.path, run.record.get("calibration")),
        )
        empty = np.zeros(first["shape"], np.dtype(first["dtype"]))
        reflex.warm_up(Frame.from_header(first, empty))
    except SmartscopeError as e:
        seen.failures.append(str(e).splitlines()[0])
        return seen
    for frame_id in chosen.frame_ids:
        frame = run.frame(frame_id)
        if not reflex.wants(frame):
            continue  # of a set that only the run's own model looks at
        reaction = reflex.step(frame)
        if reaction.failures:
            seen.failures += reaction.failures
        elif not reaction.waits_for:
            seen.spots[frame_id] = reaction.detections.centers_um
            seen.occurrences += reaction.occurrences
            seen.took_ms.append(reaction.timings_ms["inference"])
    return seen


def _truth(run: Run, experiment: Experiment) -> Truth | None:
    """Return what happened of what was looked for; None if that is not known."""
    if not run.truth:
        return None
    truth = Truth.from_record(run.truth)
    wanted = {
        kind: name
        for kind, name in truth.names.items()
        if name in experiment.analysis.occurrences
    }
    return replace(truth, names=wanted) if wanted else None


def _as_truth(occurrences: Iterable[Occurrence], experiment: Experiment) -> Truth:
    """Return what the main detector has seen as if it were what happened."""
    events = tuple(
        TruthEvent(o.name, o.onset_s, o.x_um, o.y_um)
        for o in sorted(occurrences, key=lambda o: o.onset_s)
    )
    names = {name: name for name in experiment.analysis.occurrences}
    return Truth(events, names, tolerance_s=_TOLERANCE_S)


def _things(seen: _Seen, main: _Seen, distance_um: float) -> Record:
    both = seen.spots.keys() & main.spots.keys()
    alike = sum(matched(seen.spots[i], main.spots[i], distance_um) for i in both)
    here = sum(len(seen.spots[i]) for i in both)
    there = sum(len(main.spots[i]) for i in both)
    found = f1(alike, here, there)
    n = len(seen.spots)
    took = percentiles(seen.took_ms) if n else {"p50_ms": 0.0, "p95_ms": 0.0}
    row: Record = {
        "frames": n,
        "things_per_frame": round(sum(map(len, seen.spots.values())) / n, 2)
        if n
        else 0,
        "things_f1": None if found is None else round(found, 4),
        "ms_p50": took["p50_ms"],
        "ms_p95": took["p95_ms"],
    }
    if seen.failures:
        row["failed"] = f"{seen.failures[0]} ({len(seen.failures)} times)"
    return row


def _happened(
    seen: _Seen, truth: Truth, headers: Sequence[Mapping[str, Any]]
) -> Record:
    scores = score_occurrences(seen.occurrences, truth, views(headers))
    told: dict[str, int] = {}
    for occurrence in seen.occurrences:
        told[occurrence.name] = told.get(occurrence.name, 0) + 1
    keys = ("events", "caught", "missed", "false", "recall", "precision", "delay_s")
    return {"occurrences": told, **{key: scores[key] for key in keys}}
