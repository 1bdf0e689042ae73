"""The processing steps of a package in words, for people."""

from __future__ import annotations

from collections.abc import Sequence

from smartscope.inference.tensor import Step


def in_words(steps: Sequence[Step]) -> str:
    """Return what steps do, for people; ``"none"`` if there are none."""
    return ", then ".join(_step_in_words(s) for s in steps) or "none"


def _step_in_words(step: Step) -> str:
    told = step.kwargs
    if step.id == "zero_mean_unit_variance":
        return "zero mean, unit variance"
    if step.id == "scale_range":
        low, high = told.get("min_percentile", 0.0), told.get("max_percentile", 100)
        return f"percentiles {low:g} and {high:g} become 0 and 1"
    if step.id == "fixed_zero_mean_unit_variance":
        return f"mean {told.get('mean')}, standard deviation {told.get('std')}"
    said = [f"{k} {v}" for k, v in told.items() if v is not None]
    return " ".join([step.id, *said])
