"""The reflex over recorded frames: whether it decides again what it decided then.

Frames and inputs (outcomes, restarts: all that came from clocks, people and the engine)
are given in the order in which the run gave them. Nothing moves, nothing is written.
"""

from __future__ import annotations

import heapq
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smartscope.acquisition import Frame, Limits
from smartscope.errors import Refused
from smartscope.reflex import Reaction, Reflex, Seed
from smartscope.response import Outcome, target_of
from smartscope.settings import Experiment
from smartscope.storage import Run, read_calibration

Record = Mapping[str, Any]

# what must be the same again; timings never are
_COMPARED = (
    "place",
    "light_ms_percent",
    "failures",
    "detections",
    "tracks",
    "next_track_id",
    "remarks",
)
# said only where there is something to say
_SELDOM = (
    "waits_for",
    "window",
    "incomplete_sets",
    "normalisation",
    "audited",
    "policy_faults",
    "blind",
)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay found.

    Attributes
    ----------
    identical : bool
        True if every compared frame gave the same detections, tracks, occurrences and
        decisions.
    compared : int
        Frames analysed again.
    decisions : int
        Decisions compared.
    first_difference : str or None
        Frame, field, recorded and replayed value.
    missing : tuple of str
        What could not be compared, and why.
    notices : tuple of str
        What is not as it was then: the device the model ran on.
    """

    identical: bool
    compared: int
    decisions: int
    first_difference: str | None = None
    missing: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 identical, 1 different."""
        return 0 if self.identical else 1

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "identical": self.identical,
            "compared": self.compared,
            "decisions": self.decisions,
            "first_difference": self.first_difference,
            "missing": list(self.missing),
            "notices": list(self.notices),
        }


def replay(path: str | Path) -> Replayed:
    """Analyse the frames of a run again and compare with what was recorded.

    Parameters
    ----------
    path : str or Path
        Folder of the run, finished or broken off.

    Raises
    ------
    smartscope.errors.Refused
        If it is no run, its models and policies cannot be loaded any more, or its dark
        or flat field is not there or another.
    """
    run = Run.open(path)
    if not run.record.get("experiment"):
        raise Refused(
            f"{path} does not say which experiment it was: run.json is missing or "
            "broken.",
            rule="A replay is made with the settings of the run.",
            way_out="Bring run.json back from a copy of the run.",
            state="",
        )
    return _Replay(run).go()


class _Replay:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._experiment = Experiment.parse(run.experiment)
        self._limits = Limits.model_validate(run.record.get("limits") or {})
        self._decisions = {d["decision_id"]: d for d in run.decisions}
        self._occurrences = {o["occurrence_id"]: o for o in run.occurrences}
        self._stored = {f["frame_id"]: f for f in run.frames}
        self._find_own_modules()
        self._reflex = self._fresh()

    def _find_own_modules(self) -> None:
        """Let policies and detectors be found where they lay when the run was made."""
        for file in (self._run.record.get("own_modules") or {}).values():
            folder = str(Path(file).parent)
            if Path(file).is_file() and folder not in sys.path:
                sys.path.append(folder)

    def _fresh(self) -> Reflex:
        """Return the reflex as a new analysis process has it."""
        corrections = read_calibration(
            self._run.path, self._run.record.get("calibration")
        )
        reflex = Reflex(self._experiment, self._limits, corrections=corrections)
        if self._run.frames:
            header = self._run.frames[0]
            empty = np.zeros(header["shape"], np.dtype(header["dtype"]))
            reflex.warm_up(Frame.from_header(header, empty))
        return reflex

    def go(self) -> Replayed:
        compared = decided = 0
        difference = self._other_model()
        missing = list(self._run.missing)
        by_policy = {f["frame_id"] for f in self._run.unstored}
        if difference is None:
            lines = _in_order(self._run)
            for line in lines:
                if line["kind"] == "input":
                    self._give(line)
                    continue
                frame_id = line["frame_id"]
                if frame_id in by_policy:
                    again, difference = self._look_again(lines)
                    compared += again
                    missing.append(
                        f"frame {frame_id} is not stored, by policy: decisions are "
                        "compared up to the frame before it; from it on, the "
                        f"detections in {again} stored frames"
                    )
                    break
                if frame_id not in self._stored:
                    missing.append(
                        f"frame {frame_id} is not stored: compared up to the frame "
                        "before it"
                    )
                    break
                reaction = self._reflex.step(self._run.frame(frame_id))
                difference = self._difference(line, reaction)
                compared += 1
                decided += len(reaction.decisions)
                if difference is not None:
                    break
        return Replayed(
            identical=difference is None,
            compared=compared,
            decisions=decided,
            first_difference=difference,
            missing=tuple(missing),
            notices=tuple(self._other_devices()),
        )

    def _look_again(self, lines: Iterator[Record]) -> tuple[int, str | None]:
        """Compare what is found in single frames, where tracks are not known.

        Returns
        -------
        tuple
            How many frames, and the first difference.
        """
        compared = 0
        for line in lines:
            if (
                line["kind"] == "input"
                or line["frame_id"] not in self._stored
                or line["failures"]
                or line.get("waits_for")
            ):
                continue
            found = self._reflex.look_alone(self._run.frame(line["frame_id"]))
            if found is None:
                break
            compared += 1
            now = _plain(found.to_record())
            if told := _differs(line["detections"], now, "detections"):
                return compared, f"frame {line['frame_id']}, {told}"
        return compared, None

    def _give(self, line: Record) -> None:
        kind = line["input"]
        if kind == "outcome":
            self._reflex.take(Outcome.model_validate(line["outcome"]))
        elif kind == "target":
            self._reflex.point(target_of(line))
        elif kind == "restart":
            self._reflex = self._fresh()
            self._reflex.seed(Seed.model_validate(line["seed"]))
        # 'lost': a frame that died with its process; the restart is a line of its own

    # ------------------------------------------------------------- as it was then?

    def _other_model(self) -> str | None:
        models = self._run.record.get("models") or {}
        then = models.get("sha256") or next(
            (d["model_sha256"] for d in self._run.decisions if d.get("model_sha256")),
            None,
        )
        now = self._reflex.models().get("sha256")
        if not then or not now or then == now:
            return None
        return (
            f"the model is another one: the run was made with sha256 {then[:12]}…, "
            f"'{self._experiment.analysis.detect.model}' has {now[:12]}… now"
        )

    def _other_devices(self) -> Iterator[str]:
        models = self._run.record.get("models") or {}
        now = self._reflex.models().get("providers") or {}
        for role, then in (models.get("providers") or {}).items():
            was, is_ = then.get("obtained"), now.get(role, {}).get("obtained")
            if was != is_:
                yield (
                    f"the run's {role} model ran on {was}, here it runs on {is_}: "
                    "small differences are possible"
                )

    # ------------------------------------------------------------- comparison

    def _difference(self, line: Record, reaction: Reaction) -> str | None:
        frame = f"frame {line['frame_id']}"
        again = _plain(reaction.to_record())
        for name in _COMPARED:
            if name in line and (told := _differs(line[name], again[name], name)):
                return f"{frame}, {told}"
        for name in _SELDOM:
            if told := _differs(line.get(name), again.get(name), name):
                return f"{frame}, {told}"
        kinds = (
            ("occurrences", "occurrence_id", self._occurrences, reaction.occurrences),
            ("decisions", "decision_id", self._decisions, reaction.decisions),
        )
        for name, key, recorded, made in kinds:
            for one in made:
                record = _plain(one.to_record())
                then = recorded.get(record[key])
                if then is None:
                    return f"{frame}, {name}: recorded none {record[key]}, replayed one"
                then = {k: v for k, v in then.items() if k in record}
                if told := _differs(then, record, f"{name}[{record[key]}]"):
                    return f"{frame}, {told}"
            if told := _differs(line[name], again[name], name):
                return f"{frame}, {told}"
        return None


def _in_order(run: Run) -> Iterator[Record]:
    """Yield analysed frames and inputs in the order in which the run gave them."""
    analysed = ({**line, "kind": "analysed"} for line in run.analysed)
    inputs = ({**line, "kind": "input"} for line in run.inputs)
    yield from heapq.merge(analysed, inputs, key=lambda line: int(line["seq"]))


def _plain(record: Any) -> Any:
    """Return a record as it comes back from the journal."""
    return json.loads(json.dumps(record))


def _differs(then: Any, now: Any, where: str) -> str | None:
    """Return where two plain values differ first, with both, or None."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for key in [*then, *(k for k in now if k not in then)]:
            if told := _differs(then.get(key), now.get(key), f"{where}.{key}"):
                return told
        return None
    if _is_list(then) and _is_list(now):
        if len(then) != len(now):
            return f"{where}: recorded {len(then)} of them, replayed {len(now)}"
        for i, pair in enumerate(zip(then, now, strict=True)):
            if told := _differs(*pair, f"{where}[{i}]"):
                return told
        return None
    return None if then == now else f"{where}: recorded {then!r}, replayed {now!r}"


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
