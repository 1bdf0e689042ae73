"""Occurrences told of a movie against what truly happened in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smartscope.validation.scoring import score_occurrences
from smartscope.validation.view import View

if TYPE_CHECKING:
    from smartscope.recognition import Occurrence
    from smartscope.simulation import Truth


def score_movie(
    occurrences: Sequence[Occurrence],
    truth: Truth,
    *,
    times_s: Sequence[float],
    x_um: tuple[float, float],
    y_um: tuple[float, float],
    names: Mapping[str, str] | None = None,
    tolerance_s: float | None = None,
    tolerance_um: float | None = None,
) -> dict[str, Any]:
    """Return precision, recall and delay of what was told of a movie of one field.

    Parameters
    ----------
    occurrences : sequence of Occurrence
        As recognised.
    truth : Truth
        What happened.
    times_s : sequence of float
        Of the frames that were looked at.
    x_um, y_um : tuple of float
        First and last coordinate of the field.
    names : Mapping, optional
        From kinds of events to names of occurrences; default: the truth's own.
    tolerance_s, tolerance_um : float, optional
        How near in time and space a pair must be; default: the truth's own.

    Returns
    -------
    dict
        As `smartscope.validation.score_occurrences`, with the movie as all that was
        looked at: ``precision``, ``recall``, ``delay_s`` and what they are made of.
    """
    looks = [View("p0", float(t), x_um, y_um) for t in sorted(times_s)]
    return score_occurrences(
        occurrences,
        truth,
        looks,
        names=names,
        tolerance_s=tolerance_s,
        tolerance_um=tolerance_um,
    )
