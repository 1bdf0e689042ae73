"""What the arbiter made of a wish, and what then became of it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from smartscope.response.actions import Action

Verdict = Literal["granted", "clipped", "refused", "superseded", "shadowed", "sham"]
LET_THROUGH: tuple[Verdict, ...] = ("granted", "clipped", "shadowed", "sham")
"""Verdicts that the arbiter had nothing against; the last two were withheld."""
OutcomeStatus = Literal["done", "stale", "refused", "failed"]


class Decision(BaseModel):
    """One wish and its verdict.

    Attributes
    ----------
    decision_id : str
        Unique within a run: ``"<frame id>/<number>"``.
    frame_id : int
        The frame it was made from.
    time_s, handed_over_s : float
        Of that frame: the run's clock and ``time.monotonic()``.
    policy : str
        Name of the policy that wished.
    priority : int
        Higher wins a conflict.
    wish : Action
        What the policy wished.
    granted : Action or None
        What may be done: the wish, a clipped one, or None.
    verdict : str
        granted, clipped, refused, superseded, shadowed, or sham: withheld by chance,
        as a control.
    reason : str
        Why, in words; never empty.
    occurrence_ids : tuple of str
        The hits it answers.
    max_age_ms : float or None
        Older than this (wall time since hand-over) when it would start, it is stale.
    model_sha256 : str
        Of the detector's weights; ``""`` if it has none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    decision_id: str
    frame_id: int
    time_s: float
    handed_over_s: float
    policy: str
    priority: int
    wish: Action
    granted: Action | None
    verdict: Verdict
    reason: str
    occurrence_ids: tuple[str, ...] = ()
    max_age_ms: float | None = None
    model_sha256: str = ""

    def to_record(self) -> dict[str, Any]:
        """Return plain values for the journal."""
        return self.model_dump(mode="json")


class Outcome(BaseModel):
    """What planner and engine did with a granted decision."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    decision_id: str
    status: OutcomeStatus
    reason: str
    time_s: float
    frames: int = 0

    def to_record(self) -> dict[str, Any]:
        """Return plain values for the journal."""
        return self.model_dump(mode="json")
