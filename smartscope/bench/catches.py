"""How many divisions and arrivals are caught on a bad day, over many specimens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np

from smartscope.bench.ugly_wells import (
    ANALYSIS,
    CELLS,
    INTERVAL_S,
    MICROSCOPE,
    WELLS_X_UM,
    four_wells,
    out_of_focus,
    run_once,
    signal_to_noise,
)
from smartscope.storage import Run
from smartscope.validation.intervals import share_interval

Counts = dict[str, int]

_NAMES = ("division", "arrival")
_SPECIMEN = {
    "divisions_per_hour": 0.35,
    "deaths_per_hour": 0.03,
    "arrivals_per_hour": 24,
}
_RESPONSE: list[dict[str, Any]] = [
    {"policy": "burst", "on": "division", "frames": 10, "cool_down_s": 300}
]
_BASELINE_FRAMES = 3
_EDGE_UM = 8.0
_FIELD_UM = 166.4  # half of a field
_LATE_S = 3 * INTERVAL_S
_SAME_UM = 10.0  # the track was this near to where the cell divides
_DRAWS = 2000


def bench_catches(
    *,
    seeds: int = 20,
    first_seed: int = 0,
    rounds: int = 60,
    exposure_ms: float = 0.8,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure recall and precision of ``split`` and ``appear`` against the truth.

    Each seed is another specimen of dividing, dying and landing cells in four wells of
    the simulated microscope made ugly, surveyed once a minute in virtual time; in one
    well the autofocus is lost after half an hour.

    Parameters
    ----------
    seeds : int
        How many specimens.
    first_seed : int
        Of the first one.
    rounds : int
        Of each survey.
    exposure_ms : float
        Of a frame: it sets the signal-to-noise ratio.
    tell : callable
        Is told a line after each specimen.

    Returns
    -------
    dict
        ``snr``: median of the specimens'. Of ``division`` and ``arrival`` each
        ``events`` in view, ``caught``, ``false``, ``recall`` and ``precision``, each
        with ``_exact`` (Clopper and Pearson, 95 %) and ``_over_seeds`` (bootstrap
        over the specimens, 95 %), and the same counts ``in_focus`` (without the well
        and time in which the autofocus is lost) and ``out_of_focus``. ``baseline``:
        of the caught divisions, how many have at least 3 stored frames with that cell
        before its anaphase onset. ``missed``: by what each missed event was.
        ``per_seed``: in words.
    """
    told: list[dict[str, Any]] = []
    for seed in range(first_seed, first_seed + seeds):
        experiment = four_wells(
            seed, rounds, exposure_ms, _SPECIMEN, ANALYSIS, _RESPONSE
        )
        with run_once(experiment) as run:
            told.append(_of_run(run))
        tell(f"seed {seed}: {_words(told[-1])}")
    return {
        "microscope": MICROSCOPE,
        "wells": len(WELLS_X_UM),
        "cells": CELLS,
        "rounds": rounds,
        "seeds": seeds,
        "exposure_ms": exposure_ms,
        "snr": round(median(each["snr"] for each in told), 2),
        **{name: _pooled([each[name] for each in told]) for name in _NAMES},
        "baseline": _with_baseline(told),
        "missed": {name: _reasons(told, name) for name in _NAMES},
        "per_seed": {str(first_seed + i): _words(each) for i, each in enumerate(told)},
    }


def _of_run(run: Run) -> dict[str, Any]:
    """Count one run: by name, all and out of focus; and baselines."""
    scores = run.record["scores"]
    false = set(scores["false_ones"])
    told: dict[str, Any] = {"snr": signal_to_noise(run)}
    ended_s = float(run.frames[-1]["time_s"])
    told["missed"] = [
        (event["name"], _reason(event, ended_s))
        for event in scores["per_event"]
        if event["in_view"] and not event["caught"]
    ]
    for name in _NAMES:
        counts = dict.fromkeys(
            (f"{key}{where}" for where in ("", "_blurred") for key in _KEYS), 0
        )
        for event in scores["per_event"]:
            if event["name"] == name and event["in_view"]:
                at = (event["x_um"], event["y_um"], event["t_s"])
                _add(counts, "events", blurred=out_of_focus(*at))
                if event["caught"]:
                    _add(counts, "caught", blurred=out_of_focus(*at))
        for o in run.occurrences:
            if o["name"] == name and o["occurrence_id"] in false:
                at = (o["x_um"], o["y_um"], o["onset_s"])
                _add(counts, "false", blurred=out_of_focus(*at))
        told[name] = counts
    told["baselines"] = list(baselines(run))
    return told


def _reason(event: Mapping[str, Any], ended_s: float) -> str:
    """Return what made an event hard, the first that holds."""
    x_um, y_um, t_s = event["x_um"], event["y_um"], event["t_s"]
    across = min(abs(x_um - centre) for centre in WELLS_X_UM)
    if t_s > ended_s - _LATE_S:
        return "in the last 3 rounds"
    if t_s < _LATE_S:
        return "in the first 3 rounds"
    if _FIELD_UM - max(across, abs(y_um)) < _EDGE_UM:
        return "nearer than 8 um to the edge"
    return "out of focus" if out_of_focus(x_um, y_um, t_s) else "else"


def _reasons(told: list[dict[str, Any]], name: str) -> dict[str, int]:
    why = [why for each in told for missed, why in each["missed"] if missed == name]
    return {word: why.count(word) for word in sorted(set(why))}


_KEYS = ("events", "caught", "false")


def _add(counts: Counts, key: str, *, blurred: bool) -> None:
    counts[key] += 1
    counts[f"{key}_blurred"] += blurred


def baselines(run: Run) -> list[int]:
    """Return how many baseline frames each caught division of a run has.

    A baseline frame is stored, was taken before the true onset of anaphase, and shows
    the mother's track at most 10 µm from where she divides.
    """
    scores = run.record["scores"]
    stored = {int(f["frame_id"]) for f in run.frames}
    mothers = {
        o["occurrence_id"]: o["track_ids"][0]
        for o in run.occurrences
        if o["kind"] == "split"
    }
    found = []
    for event in scores["per_event"]:
        if event["name"] != "division" or not event["caught"]:
            continue
        mother = mothers[event["occurrence_id"]]
        found.append(
            sum(
                line["frame_id"] in stored and _shows(line, mother, event)
                for line in run.analysed
                if line["time_s"] < event["t_s"]
            )
        )
    return found


def _shows(line: Mapping[str, Any], mother: int, event: Mapping[str, Any]) -> bool:
    return any(
        track["track_id"] == mother
        and track["detection"] >= 0
        and np.hypot(track["x_um"] - event["x_um"], track["y_um"] - event["y_um"])
        <= _SAME_UM
        for track in line["tracks"]
    )


def _pooled(counts: list[Counts]) -> dict[str, Any]:
    total = {key: sum(each[key] for each in counts) for key in counts[0]}
    blurred = {key: total.pop(f"{key}_blurred") for key in _KEYS}
    focused = {key: total[key] - blurred[key] for key in _KEYS}
    told: dict[str, Any] = {**total}
    for word, other in (("recall", "events"), ("precision", None)):
        of = [
            (each["caught"], each[other] if other else each["caught"] + each["false"])
            for each in counts
        ]
        k, n = (sum(column) for column in zip(*of, strict=True))
        told[word] = round(k / n, 4) if n else None
        told[f"{word}_exact"] = _rounded(share_interval(k, n))
        told[f"{word}_over_seeds"] = _bootstrap(of)
    return {**told, "in_focus": _shares(focused), "out_of_focus": _shares(blurred)}


def _shares(counts: Counts) -> dict[str, Any]:
    caught, events = counts["caught"], counts["events"]
    said = caught + counts["false"]
    return {
        **counts,
        "recall": round(caught / events, 4) if events else None,
        "precision": round(caught / said, 4) if said else None,
    }


def _bootstrap(of: list[tuple[int, int]]) -> list[float] | None:
    """Return the 95 % interval of a pooled share when specimens are drawn anew."""
    pairs = np.array(of, float)
    if not pairs[:, 1].sum():
        return None
    rng = np.random.default_rng(0)
    drawn = pairs[rng.integers(len(pairs), size=(_DRAWS, len(pairs)))].sum(axis=1)
    some = drawn[:, 1] > 0
    low, high = np.percentile(drawn[some, 0] / drawn[some, 1], [2.5, 97.5])
    return _rounded((float(low), float(high)))


def _with_baseline(told: list[dict[str, Any]]) -> dict[str, Any]:
    frames = [n for each in told for n in each["baselines"]]
    enough = sum(n >= _BASELINE_FRAMES for n in frames)
    return {
        "caught_divisions": len(frames),
        "frames_wanted": _BASELINE_FRAMES,
        "with_baseline": enough,
        "share": round(enough / len(frames), 4) if frames else None,
        "share_exact": _rounded(share_interval(enough, len(frames))),
        "frames_median": median(frames) if frames else None,
    }


def _rounded(interval: tuple[float, float]) -> list[float]:
    return [round(bound, 4) for bound in interval]


def _words(told: Mapping[str, Any]) -> str:
    parts = [
        f"{name} {told[name]['caught']} of {told[name]['events']}, "
        f"{told[name]['false']} false"
        for name in _NAMES
    ]
    enough = sum(n >= _BASELINE_FRAMES for n in told["baselines"])
    baseline = f"baseline {enough} of {len(told['baselines'])}"
    return "; ".join([*parts, baseline, f"SNR {told['snr']:.1f}"])
