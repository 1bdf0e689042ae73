"""What a run was, in numbers: JSON-able, for finished runs and for broken-off ones.

It counts what the journal says. Scores were made at the close of the run by whoever
knows the truth; here they are only passed on. The picture stands in ``picture``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from smartscope.storage.followed import followed
from smartscope.storage.restored import TAKEN
from smartscope.telemetry import percentiles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smartscope.storage.reader import Record, Run


def summarise(run: Run) -> dict[str, Any]:
    """Summarise a run.

    Parameters
    ----------
    run : Run
        Finished or broken off; then the numbers are recomputed as far as known.

    Returns
    -------
    dict
        ``name``, ``folder``, ``started``, ``outcome``, ``exit_code``, ``reason``,
        ``finished``, ``missing`` (what is known to lack, in words),
        ``frames`` (``acquired``, ``stored``, ``unstored`` by policy, ``kept``: stored
        of the survey because of a hit, ``analysed``, ``skipped``,
        ``skipped_by_reason``, ``late``, ``failed``, ``survey``, ``burst``, ``series``,
        ``audit``, ``stimulation``, ``focus``, ``visit``),
        ``restored`` (``stored``, ``dropped``, ``lost``; ``{}`` where none are kept),
        ``duration_s``, ``occurrences`` (number by name), ``decisions`` (``total``,
        ``by_verdict``, ``by_policy``: verdicts of each, ``faults``: of policies that
        misbehaved ``failed_on`` (frames), ``not_considered`` (wishes beyond what a
        policy may have on a frame) and ``switched_off`` (why), ``refusals``: reasons,
        ``outcomes``: number by status), ``followed`` (as the function of that name
        says), ``latency_ms`` (per step ``n``, ``p50_ms``,
        ``p95_ms``, ``p99_ms``, ``max_ms``), ``light_ms_percent`` by place,
        ``light_by_origin`` by place (``survey``, ``burst``, and the others where there
        was one), ``images``, ``scores`` (without equal light; ``{}`` without truth),
        ``controls`` and ``visits`` (what each tells, in ``says``), ``rivals`` (as
        `smartscope.loop.compare` gives them; ``{}`` without any), ``equal_light``,
        ``disk_waits``,
        ``counts`` (all counters), ``models``, ``notices``.
    """
    counts = _counts(run)
    scores = dict(run.record.get("scores") or {})
    equal_light = scores.pop("equal_light", None) or {}
    times = [f["time_s"] for f in run.taken]
    return {
        "name": run.name,
        "folder": str(run.path),
        "started": run.record.get("started"),
        "microscope": (run.record.get("microscope") or {}).get("name"),
        "outcome": run.outcome,
        "exit_code": run.exit_code,
        "reason": run.reason,
        "finished": run.finished,
        "missing": run.missing,
        "duration_s": round(max(times) - min(times), 3) if times else 0.0,
        "frames": _frames(run, counts),
        "restored": _restored(run),
        "images": dict(Counter(str(f["image"]) for f in run.frames)),
        "occurrences": dict(Counter(str(o["name"]) for o in run.occurrences)),
        "decisions": _decisions(run),
        "followed": followed(run),
        "latency_ms": run.telemetry.get("latencies") or _latencies(run),
        "light_ms_percent": _light(run),
        "light_by_origin": _by_origin(run),
        "scores": scores,
        "controls": run.record.get("controls") or {},
        "visits": run.record.get("visits") or {},
        "rivals": run.record.get("rivals") or {},
        "equal_light": equal_light,
        "disk_waits": counts.get("disk_waits", 0),
        "counts": counts,
        "models": run.record.get("models") or {},
        "notices": _notices(run),
    }


def _counts(run: Run) -> dict[str, int]:
    """Return the counters of the close; recomputed from the journal without one."""
    told = run.telemetry.get("counts")
    if told:
        return {str(k): int(v) for k, v in told.items()}
    unstored = {"frames_unstored": len(run.unstored)} if run.unstored else {}
    return {
        **unstored,
        "frames_stored": len(run.frames),
        "frames_analysed": sum(not a.get("failures") for a in run.analysed),
        "frames_failed": sum(bool(a.get("failures")) for a in run.analysed),
        "frames_skipped": len(run.skipped),
    }


def _frames(run: Run, counts: dict[str, int]) -> dict[str, Any]:
    by_reason = Counter(
        str(s.get("reason", "")).split(":")[0] or "unknown" for s in run.skipped
    )
    origins = Counter(str(f["origin"]) for f in run.taken)
    # frame ids have no gaps: the highest one that anything names tells how many
    acquired = counts.get("frames_acquired", run.frames_known)
    return {
        "acquired": acquired,
        "stored": len(run.frames),
        "unstored": len(run.unstored),
        "kept": counts.get("frames_kept", 0),
        "analysed": counts.get("frames_analysed", len(run.analysed)),
        "skipped": counts.get("frames_skipped", len(run.skipped)),
        "skipped_by_reason": dict(by_reason),
        "late": counts.get("frames_late", 0),
        "failed": counts.get("frames_failed", 0),
        "survey": origins.get("survey", 0),
        "burst": origins.get("burst", 0),
        "series": origins.get("series", 0),
        "audit": origins.get("audit", 0),
        "stimulation": origins.get("stimulation", 0),
        "focus": origins.get("focus", 0),
        "visit": origins.get("visit", 0),
    }


def _restored(run: Run) -> dict[str, int]:
    """Return what became of the restored images, where they are kept."""
    stored = {int(f["frame_id"]) for f in run.restored_frames}
    numbers = {
        "stored": len(stored),
        "dropped": len(run.restored_told("dropped") | run.restored_told("failed")),
        "lost": len(run.restored_told(TAKEN) - stored),
    }
    denoise = (run.experiment.get("analysis") or {}).get("denoise") or {}
    return numbers if denoise.get("store") or any(numbers.values()) else {}


def _decisions(run: Run) -> dict[str, Any]:
    by_policy: dict[str, Counter[str]] = defaultdict(Counter)
    for decision in run.decisions:
        by_policy[decision["policy"]][decision["verdict"]] += 1
    refused = [
        d for d in run.decisions if d["verdict"] not in ("granted", "shadowed", "sham")
    ]
    return {
        "total": len(run.decisions),
        "by_verdict": dict(Counter(str(d["verdict"]) for d in run.decisions)),
        "by_policy": {name: dict(verdicts) for name, verdicts in by_policy.items()},
        "faults": _faults(run),
        "refusals": dict(Counter(str(d["reason"]) for d in refused).most_common(10)),
        "outcomes": dict(Counter(str(o["status"]) for o in run.outcomes)),
    }


def _faults(run: Run) -> dict[str, dict[str, Any]]:
    """Return what policies did wrong, by their names."""
    faults: dict[str, dict[str, Any]] = {}
    for line in run.analysed:
        for name, told in (line.get("policy_faults") or {}).items():
            of_policy = faults.setdefault(name, {"failed_on": 0, "not_considered": 0})
            of_policy["failed_on"] += "failed" in told
            of_policy["not_considered"] += told.get("flooded", 0)
            if "off" in told:
                of_policy["switched_off"] = told["off"]
    # one that hung or died was told of in no frame, but the next process knew
    for line in run.inputs:
        for name, why in (line.get("seed") or {}).get("switched_off", {}).items():
            of_policy = faults.setdefault(name, {"failed_on": 1, "not_considered": 0})
            of_policy["switched_off"] = why
    return faults


def _latencies(run: Run) -> dict[str, dict[str, float]]:
    """Return what the journal's own lines tell of a run that had no close."""
    steps: dict[str, list[float]] = defaultdict(list)
    for analysed in run.analysed:
        for step, ms in (analysed.get("timings_ms") or {}).items():
            if isinstance(ms, int | float) and ms == ms:
                steps[step].append(float(ms))
    return {step: percentiles(ms) for step, ms in steps.items()}


def _light(run: Run) -> dict[str, float]:
    """Return the light account of each place after its last frame."""
    account: dict[str, float] = {}
    for frame in run.taken:  # by frame_id: the last one wins
        account[frame["place"]] = frame["light_ms_percent"]
    if not any(account.values()):  # no account was kept: what the frames say they got
        account = dict.fromkeys(account, 0.0)
        for frame in run.taken:
            account[frame["place"]] += frame_light(frame)
    return {place: round(light, 3) for place, light in sorted(account.items())}


def frame_light(header: Record) -> float:
    """Return the light of one frame in ms × %; that of an exposure counts once."""
    if header.get("shares_light"):  # charged with another camera's frame
        return 0.0
    state = header["state"]
    power = float(state.get("power_percent", 100.0))
    return float(state["exposure_ms"]) * power * float(state.get("lit_share", 1.0))


def _by_origin(run: Run) -> dict[str, dict[str, float]]:
    light: dict[str, dict[str, float]] = {}
    for frame in run.taken:
        by = light.setdefault(frame["place"], {"survey": 0.0, "burst": 0.0})
        origin = frame["origin"]
        by[origin] = by.get(origin, 0.0) + frame_light(frame)
    return {
        place: {origin: round(ms, 3) for origin, ms in by.items()}
        for place, by in sorted(light.items())
    }


def _notices(run: Run) -> list[str]:
    told: Iterable[Any] = run.record.get("notices") or []
    notes = [n.get("text", "") for n in run.notes if n.get("level") != "info"]
    return list(dict.fromkeys([str(n) for n in (*told, *notes) if n]))
