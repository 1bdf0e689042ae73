"""What a bad policy costs the survey: one that raises, hangs, or floods with wishes."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from smartscope.bench.rig import bare_rate, demo_microscope, loop_rate, looped, sequence
from smartscope.response import Bookmark, Observation
from smartscope.storage import Run, summarise

_EXPOSURE_MS = 20.0
_FLOOD = 10_000


class Raises:
    """A policy that fails on every frame."""

    def decide(self, seen: Observation, /) -> tuple[()]:
        """Raise."""
        raise RuntimeError("on every frame")


class Hangs:
    """A policy that never returns."""

    def decide(self, seen: Observation, /) -> tuple[()]:
        """Wait for ever."""
        threading.Event().wait()
        return ()


class Floods:
    """A policy that wishes ten thousand things on every frame."""

    def decide(self, seen: Observation, /) -> list[Bookmark]:
        """Wish them, each another one."""
        place = seen.frame.place
        return [
            Bookmark(place=place, x_um=0, y_um=0, text=str(i)) for i in range(_FLOOD)
        ]


_BAD = {"raises": Raises, "hangs": Hangs, "floods": Floods}


def bench_policies(*, rounds: int = 7, frames: int = 150) -> dict[str, Any]:
    """Measure the survey beside bad policies against bare ``core.mda.run``.

    On the DemoCamera (FastImage, 512×512, 16 bit), single events of 20 ms, with
    storage. In each round every policy has its turn, in an order that goes round, next
    to a bare run.

    Parameters
    ----------
    rounds : int
        How often.
    frames : int
        Of each run.

    Returns
    -------
    dict
        By policy (and ``none``, the loop without one): ``ratio`` to the bare rate
        (median of the rounds), ``ratio_min``, ``ratio_p25``, ``ratio_max``;
        ``failed_on``, ``not_considered``, ``switched_off``: what the summary of the
        last round tells of it; ``decisions`` recorded; ``skipped`` frames of it.
        ``bare_per_s``: median of the bare rates.
    """
    rates: dict[str, list[float]] = {name: [] for name in ("none", *_BAD)}
    told: dict[str, dict[str, Any]] = {}
    bares: list[float] = []
    with demo_microscope() as scope:
        survey = sequence(_EXPOSURE_MS, frames)
        for turn in range(rounds):
            names = list(rates)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                bare = bare_rate(scope, survey, sequenced=False)
                _, run = looped(
                    scope,
                    survey,
                    sequenced=False,
                    response=_response(name),
                    timeout_s=0.5 if name == "hangs" else 10.0,
                )
                bares.append(bare)
                rates[name].append(loop_rate(run) / bare)
                told[name] = _told(name, run)
    measured: dict[str, Any] = {"rounds": rounds, "frames": frames}
    for name, ratios in rates.items():
        low, quarter, middle, high = np.percentile(ratios, [0, 25, 50, 100])
        measured[name] = {
            "ratio": round(float(middle), 4),
            "ratio_min": round(float(low), 4),
            "ratio_p25": round(float(quarter), 4),
            "ratio_max": round(float(high), 4),
            **told[name],
        }
    measured["bare_per_s"] = round(float(np.median(bares)), 2)
    return measured


def _response(name: str) -> tuple[dict[str, Any], ...]:
    bad = _BAD.get(name)
    if bad is None:
        return ()
    return ({"policy": f"{__name__}:{bad.__name__}", "name": name},)


def _told(name: str, run: Run) -> dict[str, Any]:
    """Return what the summary says of a policy."""
    summary = summarise(run)
    faults = summary["decisions"]["faults"].get(name, {})
    return {
        "failed_on": faults.get("failed_on", 0),
        "not_considered": faults.get("not_considered", 0),
        "switched_off": faults.get("switched_off", ""),
        "decisions": summary["decisions"]["total"],
        "skipped": summary["frames"]["skipped"],
    }
