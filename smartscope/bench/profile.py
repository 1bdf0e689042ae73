"""What each part of a graph took, from onnxruntime's own profile."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_SUFFIX = "_kernel_time"
_NET = "net0_"  # before the names of its operators in a fused graph
_WARM = 2  # first runs, which are left out


@dataclass(frozen=True, slots=True)
class Profile:
    """Medians over the runs of one session.

    Attributes
    ----------
    parts_ms : dict
        ``normalise``: everything before the net, the frame's way into float32 included;
        ``net``; ``after`` it, with the head; ``runtime``: not within any operator.
    bytes_moved : int
        What all operators read and write in a frame, weights included.
    """

    parts_ms: dict[str, float]
    bytes_moved: int


def read_profile(folder: Path) -> Profile | None:
    """Read the profile of the graph that was fused, None if there is none.

    Parameters
    ----------
    folder : Path
        Into which sessions wrote theirs.
    """
    for path in folder.glob("*.json"):
        told = _profile(json.loads(path.read_text(encoding="utf-8")))
        if told is not None:
            return told
    return None


def _profile(events: list[dict[str, Any]]) -> Profile | None:
    runs: list[dict[str, Any]] = []
    whole_us: list[float] = []
    nodes: list[tuple[str, float, int]] = []
    for event in sorted(events, key=lambda e: e["ts"]):
        name, told = event["name"], event.get("args", {})
        if name == "model_run":
            whole_us.append(event["dur"])
        elif event.get("cat") == "Node" and name.endswith(_SUFFIX):
            sizes = ("activation_size", "parameter_size", "output_size")
            moved = sum(int(told.get(s) or 0) for s in sizes)
            nodes.append((name.removesuffix(_SUFFIX), event["dur"], moved))
    if not whole_us or len(nodes) % len(whole_us):
        return None
    each = len(nodes) // len(whole_us)
    for i in range(len(whole_us)):
        split = _parts(nodes[i * each : (i + 1) * each])
        if split is None:
            return None
        split["runtime"] = max(0.0, whole_us[i] - sum(split.values()))
        runs.append(split)
    kept = runs[_WARM:] or runs
    parts = {k: float(np.median([r[k] for r in kept])) / 1e3 for k in kept[0]}
    return Profile(parts, sum(moved for _, _, moved in nodes[:each]))


def _parts(nodes: list[tuple[str, float, int]]) -> dict[str, float] | None:
    """Add up by part, in the order of the run; None if the graph was not fused."""
    places = [i for i, (name, _, _) in enumerate(nodes) if name.startswith(_NET)]
    if not places:
        return None
    # operators that the runtime adds within a net have no name of ours: the net is all
    # from its first operator to its last
    first, last = places[0], places[-1] + 1
    took_us = [us for _, us, _ in nodes]
    return {
        "normalise": sum(took_us[:first]),
        "net": sum(took_us[first:last]),
        "after": sum(took_us[last:]),
    }
