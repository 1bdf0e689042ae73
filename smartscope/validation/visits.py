"""What became of the hits that were to be revisited, in numbers and in a sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any

import numpy as np

from smartscope.settings import Experiment, tour_plans
from smartscope.storage import Run


def read_visits(
    run: Run, experiment: Experiment, scores: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return, by the name of each policy that visits, what its visits were.

    Parameters
    ----------
    run : Run
        Finished.
    experiment : Experiment
        Of the run, with its groups.
    scores : dict
        As ``score_run`` gives them; ``{}`` where the truth is not known.

    Returns
    -------
    dict
        ``hits`` that were granted, ``made`` (visits that gave all their frames),
        ``by_group`` (of these, by group or else by well or place), ``not_made``
        (number by the first word of the reason), ``waited_s`` (median from the hit to
        the end of its visit), ``true`` (of those made, how many answer an occurrence
        that truly happened; only with scores), ``says``.
    """
    told = {}
    outcomes = {o["decision_id"]: o for o in run.outcomes}
    for name, plan in tour_plans(experiment).items():
        granted = [
            d for d in run.decisions if d["policy"] == name and d["granted"] is not None
        ]
        if not granted:
            continue
        groups = dict.fromkeys(plan.settings.groups, 0)
        not_made: Counter[str] = Counter()
        made = []
        for decision in granted:
            outcome = outcomes.get(decision["decision_id"])
            if outcome is not None and outcome["status"] == "done":
                made.append((decision, outcome))
                group = plan.group(decision["granted"]["place"]) or ""
                groups[group] = groups.get(group, 0) + 1
            else:
                not_made[_why(outcome)] += 1
        waited = [o["time_s"] - d["time_s"] for d, o in made]
        told[name] = {
            "hits": len(granted),
            "made": len(made),
            "by_group": groups,
            "not_made": dict(not_made),
            "waited_s": round(float(np.median(waited)), 3) if waited else None,
        }
        if "per_event" in scores:
            told[name]["true"] = _true([d for d, _ in made], scores)
        told[name]["says"] = _says(name, told[name])
    return told


def _why(outcome: Any) -> str:
    """Return the reason in a word: quota, balance, same spot, stale, light, limits."""
    if outcome is None:
        return "no outcome"
    if outcome["status"] == "stale":
        return "stale"
    reason = str(outcome["reason"])
    head = reason.partition(":")[0]
    if head in ("quota", "balance", "same spot"):
        return head
    if reason.startswith("Light"):
        return "light"
    return str(outcome["status"])


def _true(made: Collection[dict[str, Any]], scores: dict[str, Any]) -> int:
    caught = {e.get("occurrence_id") for e in scores["per_event"] if e["caught"]}
    return sum(bool(caught & set(d["occurrence_ids"])) for d in made)


def _says(name: str, told: dict[str, Any]) -> str:
    groups = ", ".join(f"{group} {n}" for group, n in told["by_group"].items())
    said = f"{name}: {told['made']} of {told['hits']} hits visited"
    said += f" ({groups})" if groups else ""
    if told["not_made"]:
        reasons = ", ".join(f"{n} {why}" for why, n in told["not_made"].items())
        said += f", not visited: {reasons}"
    if told.get("true") is not None and told["made"]:
        said += (
            f"; {told['true']} of {told['made']} truly were what they were taken for"
        )
    return said + "."
