"""Nights in which nothing divides: how many bursts are taken for nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from importlib.resources import as_file, files
from typing import Any

from smartscope.bench.ugly_wells import (
    INTERVAL_S,
    MICROSCOPE,
    four_wells,
    run_once,
    signal_to_noise,
)
from smartscope.settings import read_yaml

_SPECIMEN = {
    "divisions_per_hour": 0,
    "deaths_per_hour": 0.01,
    "arrivals_per_hour": 2,
}


def bench_quiet_nights(
    *,
    seeds: int = 3,
    first_seed: int = 0,
    rounds: int = 720,
    exposure_ms: float = 4.0,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Count the bursts that the shipped demo's settings take while nothing divides.

    Analysis and response are those of ``smartscope demo``, to the letter. Cells wander,
    some die, some land; the lamp flickers and fades, the focus drifts, stage and
    specimen too, and one of four wells loses its autofocus.

    Parameters
    ----------
    seeds : int
        How many nights.
    first_seed : int
        Of the first one.
    rounds : int
        Of a night, one a minute: 720 are 12 h.
    exposure_ms : float
        Of a frame, until the demo's own policy changes it.
    tell : callable
        Is told a line after each night.

    Returns
    -------
    dict
        ``nights``, ``hours`` of all, ``false_bursts`` (granted),
        ``false_bursts_per_24_h``,
        ``occurrences`` and ``happened`` (true events, none of them a division) by
        name, ``snr``, ``per_night``.
    """
    with as_file(files("smartscope.zoo") / "demo.yaml") as path:
        shipped = read_yaml(path, what="experiment")
    bursts, hours = 0, 0.0
    said: Counter[str] = Counter()
    happened: Counter[str] = Counter()
    per_night: dict[str, str] = {}
    snr = []
    for seed in range(first_seed, first_seed + seeds):
        experiment = four_wells(
            seed,
            rounds,
            exposure_ms,
            _SPECIMEN,
            shipped["analysis"],
            shipped["response"],
        )
        with run_once(experiment) as run:
            granted = sum(
                d["policy"] == "burst" and d["verdict"] == "granted"
                for d in run.decisions
            )
            names = Counter(str(o["name"]) for o in run.occurrences)
            true = Counter(str(e["kind"]) for e in run.truth["events"])
            snr.append(signal_to_noise(run))
        bursts += granted
        hours += rounds * INTERVAL_S / 3600
        said += names
        happened += true
        told = ", ".join(f"{n} {name}" for name, n in sorted(names.items()))
        per_night[str(seed)] = f"{granted} bursts; told: {told or 'nothing'}"
        tell(f"night {seed}: {per_night[str(seed)]}")
    return {
        "microscope": MICROSCOPE,
        "settings": "zoo/demo.yaml",
        "nights": seeds,
        "rounds": rounds,
        "hours": round(hours, 2),
        "exposure_ms": exposure_ms,
        "snr": round(min(snr), 2),
        "false_bursts": bursts,
        "false_bursts_per_24_h": round(24 * bursts / hours, 3),
        "occurrences": dict(said),
        "happened": dict(happened),
        "per_night": per_night,
    }
