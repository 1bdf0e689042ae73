"""Fixed interval against smart: the same specimens, the same light."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from smartscope.bench.ugly_wells import ANALYSIS, MICROSCOPE, four_wells
from smartscope.loop import run_at_equal_light

_SPECIMEN = {
    "divisions_per_hour": 0.15,
    "deaths_per_hour": 0.03,
    "arrivals_per_hour": 4,
}
# half a minute of each division, a frame every three seconds
_RESPONSE: list[dict[str, Any]] = [
    {
        "policy": "burst",
        "on": "division",
        "frames": 10,
        "interval_s": 3,
        "cool_down_s": 0,
    }
]


def bench_equal_light(
    *,
    seeds: int = 5,
    first_seed: int = 0,
    rounds: int = 60,
    exposure_ms: float = 4.0,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Run specimens twice, as smartscope reacts and at a fixed interval, and count.

    Parameters
    ----------
    seeds : int
        How many specimens.
    first_seed : int
        Of the first one.
    rounds : int
        Of the survey that reacts, one a minute.
    exposure_ms : float
        Of a frame.
    tell : callable
        Is told a line after each specimen.

    Returns
    -------
    dict
        ``events`` (true divisions in view), ``wanted`` (when one is caught), and of
        ``smart`` and ``fixed`` each ``caught`` with baseline, ``recognised``,
        ``false``, ``frames``, ``light_ms_percent``; ``per_seed``: in words.
    """
    totals: dict[str, dict[str, float]] = {
        how: dict.fromkeys(_KEYS, 0) for how in ("smart", "fixed")
    }
    events, wanted = 0, {}
    per_seed: dict[str, str] = {}
    for seed in range(first_seed, first_seed + seeds):
        experiment = four_wells(
            seed, rounds, exposure_ms, _SPECIMEN, ANALYSIS, _RESPONSE
        )
        with tempfile.TemporaryDirectory(prefix="smartscope_bench_") as base:
            done = run_at_equal_light(experiment, Path(base) / "both", in_process=True)
        if not done.told:
            raise RuntimeError(f"a run of seed {seed} did not come to its end")
        events += done.told["events"]
        wanted = done.told["wanted"]
        for how, total in totals.items():
            for key in _KEYS:
                total[key] += done.told[how][key] or 0
        per_seed[str(seed)] = done.told["says"]
        tell(f"seed {seed}: {done.told['says']}")
    return {
        "microscope": MICROSCOPE,
        "seeds": seeds,
        "rounds": rounds,
        "exposure_ms": exposure_ms,
        "wanted": wanted,
        "events": events,
        **{
            how: {key: round(value, 3) for key, value in total.items()}
            for how, total in totals.items()
        },
        "per_seed": per_seed,
    }


_KEYS = ("caught", "recognised", "false", "frames", "light_ms_percent")
