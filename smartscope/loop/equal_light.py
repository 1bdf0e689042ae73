"""The same specimen twice: as the experiment reacts, and at a fixed interval.

The second run spends the light of the first one, evenly: what did reacting bring?
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from smartscope.errors import Refused
from smartscope.loop.progress import Progress, RunResult
from smartscope.loop.start import run
from smartscope.microscope import open_microscope
from smartscope.settings import ControlsSettings, Experiment, names_to_catch
from smartscope.simulation import Truth, TruthEvent
from smartscope.storage import Run, RunFolder, draw_equal_light
from smartscope.validation import View, frames_about, views

Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EqualLight:
    """How the two runs ended, and what they caught.

    Attributes
    ----------
    folder : Path
        Holds ``smart`` and ``fixed``, a run each, ``equal_light.json`` and
        ``equal_light.png``.
    exit_code : int
        The worse one of the two runs.
    told : dict
        ``events``, ``wanted`` (when one is caught), ``smart`` and ``fixed`` (each
        ``caught``, ``recognised``, ``false``, ``frames``, ``light_ms_percent``,
        ``interval_s``), ``per_event``, ``says``. ``{}`` if a run did not come to its
        end.
    """

    folder: Path
    exit_code: int
    told: Told


def run_at_equal_light(
    experiment: Experiment | str | Path,
    out: str | Path | None = None,
    *,
    microscope: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    in_process: bool = False,
) -> EqualLight:
    """Run an experiment, then its survey alone with as much light, and compare.

    The second run has the same specimen and the same places, channels and exposures,
    and no response. With L the light of the first run, l that of a round and T its
    duration, it makes R = floor(L / l) rounds, one every T / R. An event is *caught
    with baseline* as ``controls.equal_light`` says; frames of both runs are counted as
    they were taken.

    Parameters
    ----------
    experiment : Experiment or path
        The experiment, or its file; of a specimen whose truth is known.
    out : path, optional
        Folder of the comparison; must not exist. Default:
        ``runs/<time>_<name>_equal_light``.
    microscope : str, optional
        Instead of the experiment's.
    progress : Callable, optional
        Called about four times a second with a snapshot of the run under way.
    in_process : bool
        As ``smartscope.run`` says.

    Raises
    ------
    smartscope.errors.Refused
        If the truth is not known, nothing in it is to be caught, the survey has no
        interval, or a run is refused.
    """
    if not isinstance(experiment, Experiment):
        experiment = Experiment.load(experiment)
    if microscope is not None:
        experiment = experiment.model_copy(update={"microscope": microscope})
    wanted = _kinds_to_catch(experiment)
    folder = RunFolder.create(
        None if out is None else Path(out), f"{experiment.name}_equal_light", need_mb=1
    )
    try:
        smart = run(
            experiment, folder.path / "smart", progress=progress, in_process=in_process
        )
    except Refused:
        folder.discard()
        raise
    if smart.exit_code not in (0, 3):
        return EqualLight(folder.path, smart.exit_code, {})
    equal = smart.summary["equal_light"]
    if not equal.get("rounds"):
        return EqualLight(folder.path, 4, {})
    fixed = run(
        _at_fixed_interval(experiment, equal["rounds"], equal["interval_s"]),
        folder.path / "fixed",
        progress=progress,
        in_process=in_process,
    )
    if fixed.exit_code not in (0, 3):
        return EqualLight(folder.path, fixed.exit_code, {})
    told = _compared(experiment, smart, fixed, wanted)
    (folder.path / "equal_light.json").write_text(
        json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    draw_equal_light(told, folder.path / "equal_light.png")
    return EqualLight(folder.path, max(smart.exit_code, fixed.exit_code), told)


def _kinds_to_catch(experiment: Experiment) -> frozenset[str]:
    """Return the kinds of true events to be caught; refuse if there is none."""
    with open_microscope(
        experiment.microscope,
        specimen=experiment.specimen,
        seed=experiment.seed,
        limits=experiment.limits,
    ) as scope:
        truth = scope.truth()
    if truth is None:
        raise Refused(
            f"What truly happens under '{experiment.microscope}' is not known.",
            rule="A comparison counts true events, of simulated cells or of a movie "
            "with a truth, and both runs look at the same specimen.",
            way_out="Name a simulated microscope with --microscope.",
        )
    names = names_to_catch(experiment.controls.equal_light, experiment.response)
    names = names or frozenset(experiment.analysis.occurrences)
    kinds = frozenset(kind for kind, name in truth.names.items() if name in names)
    if not kinds:
        raise Refused(
            f"Nothing in the truth is called {' or '.join(sorted(names)) or 'so'}.",
            rule=f"The truth tells of: {', '.join(sorted(truth.names))}.",
            way_out="Name an occurrence in controls.equal_light.of, or set "
            "specimen.truth_map.",
        )
    plan = experiment.survey.time_plan
    if plan is None or experiment.survey.axis_order[:1] != ("t",):
        raise Refused(
            "The survey does not come back to its places round by round.",
            rule="A fixed interval is that of a survey's rounds.",
            way_out="Give the survey a time_plan and an axis_order that begins with t.",
        )
    return kinds


def _at_fixed_interval(
    experiment: Experiment, rounds: int, interval_s: float
) -> Experiment:
    """Return the survey alone, with as many rounds as the light is enough for."""
    content = experiment.survey.model_dump(mode="json", exclude_unset=True)
    content["time_plan"] = {
        "interval": timedelta(seconds=interval_s).total_seconds(),
        "loops": rounds,
    }
    survey = type(experiment.survey).model_validate(content)
    return experiment.model_copy(
        update={
            "name": f"{experiment.name}_fixed",
            "survey": survey,
            "response": (),
            "controls": ControlsSettings(
                equal_light=experiment.controls.equal_light.model_copy(
                    update={
                        "of": tuple(
                            sorted(
                                names_to_catch(
                                    experiment.controls.equal_light,
                                    experiment.response,
                                )
                            )
                        )
                    }
                )
            ),
            "approve": None,
        }
    )


def _compared(
    experiment: Experiment, smart: RunResult, fixed: RunResult, kinds: frozenset[str]
) -> Told:
    """Count what both runs have of each true event."""
    settings = experiment.controls.equal_light
    runs = {"smart": Run.open(smart.folder), "fixed": Run.open(fixed.folder)}
    taken = {how: views(each.taken) for how, each in runs.items()}
    began_s = max(seen[0].time_s for seen in taken.values())
    ended_s = min(seen[-1].time_s for seen in taken.values())
    recognised = {how: _recognised(each) for how, each in runs.items()}
    per_event: list[Told] = []
    for event in Truth.from_record(runs["smart"].truth).events:
        if event.kind not in kinds or not began_s <= event.t_s <= ended_s:
            continue
        since = {
            how: frames_about(seen, event, settings.baseline_s, settings.within_s)
            for how, seen in taken.items()
        }
        reacted = {
            how: frames_about(
                (v for v in seen if not v.survey),
                event,
                settings.baseline_s,
                settings.within_s,
            )
            for how, seen in taken.items()
        }
        if any(since.values()):
            per_event.append(
                {
                    "kind": event.kind,
                    "t_s": event.t_s,
                    **{
                        how: {
                            **_of_event(event, since[how], recognised[how], settings),
                            "reacted_s": [round(s, 3) for s in reacted[how]],
                        }
                        for how in runs
                    },
                }
            )
    called = Truth.from_record(runs["smart"].truth).names
    names = {called[kind] for kind in kinds}
    told: Told = {
        "name": experiment.name,
        "seed": experiment.seed,
        "kinds": sorted(kinds),
        "events": len(per_event),
        "wanted": settings.model_dump(mode="json", exclude={"of"}),
        "per_event": per_event,
    }
    for how, each in runs.items():
        told[how] = _side(each, taken[how], [e[how] for e in per_event], names)
    told["smart"]["interval_s"] = None  # its own, or as it was decided
    told["fixed"]["interval_s"] = smart.summary["equal_light"]["interval_s"]
    told["says"] = _says(told)
    return told


def _recognised(run: Run) -> set[tuple[str, float]]:
    per_event = (run.record.get("scores") or {}).get("per_event") or ()
    return {(e["kind"], e["t_s"]) for e in per_event if e["caught"]}


def _of_event(
    event: TruthEvent,
    since: list[float],
    recognised: set[tuple[str, float]],
    settings: Any,
) -> Told:
    before = sum(s < 0 for s in since)
    after = len(since) - before
    return {
        "before": before,
        "after": after,
        "caught": before >= settings.baseline_frames and after >= settings.frames,
        "recognised": (event.kind, event.t_s) in recognised,
        "since_s": [round(s, 3) for s in since],
    }


def _side(
    run: Run, taken: list[View], events: list[Told], names: Iterable[str]
) -> Told:
    by_name: Mapping[str, Any] = (run.record.get("scores") or {}).get("by_name") or {}
    return {
        "folder": run.path.name,
        "caught": sum(e["caught"] for e in events),
        "recognised": sum(e["recognised"] for e in events),
        "false": sum(by_name[name]["false"] for name in names if name in by_name),
        "frames": len(taken),
        "light_ms_percent": round(sum(v.light_ms_percent for v in taken), 3),
    }


def _says(told: Told) -> str:
    wanted, smart, fixed = told["wanted"], told["smart"], told["fixed"]
    before = (
        f", {wanted['baseline_frames']} in the {wanted['baseline_s']:g} s before it"
        if wanted["baseline_frames"]
        else ""
    )
    return (
        f"Caught with baseline ({wanted['frames']} frames within "
        f"{wanted['within_s']:g} s from the onset on{before}): {smart['caught']} of "
        f"{told['events']} true events; at a fixed interval of "
        f"{fixed['interval_s']:.3g} s {fixed['caught']}. Recognised: "
        f"{smart['recognised']} and {fixed['recognised']}. Light: "
        f"{smart['light_ms_percent']:.6g} and {fixed['light_ms_percent']:.6g} ms·%."
    )
