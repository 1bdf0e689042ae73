"""What really happens in a simulated specimen: the events a run is scored against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class TruthEvent:
    """One thing that really happened.

    Attributes
    ----------
    kind : str
        The specimen's word for it: ``"division"`` (anaphase onset), ``"mitosis"``
        (rounding up), ``"flash"``, ``"death"``, ``"arrival"``, ``"departure"`` and
        ``"response"`` (to patterned light) of simulated cells, or a type of a movie's
        truth file.
    t_s : float
        Onset, seconds on the run's clock.
    x_um, y_um : float
        Where on the stage.
    ends_s : float or None
        When it is over, if it lasts: 5 % of a flash are left, a dead or departed cell
        is gone, a landed one is wholly in view.
    of_class : str or None
        What the cell is from then on: ``"interphase"``, ``"mitotic"``, ``"anaphase"``,
        ``"dying"`` or ``"leaving"``; None if it stays what it was.
    """

    kind: str
    t_s: float
    x_um: float
    y_um: float
    ends_s: float | None = None
    of_class: str | None = None

    @property
    def passes(self) -> bool:
        """Whether it leaves no trace: after ``ends_s`` all is as it was, as a flash."""
        return self.ends_s is not None and self.of_class is None


@dataclass(frozen=True, slots=True)
class Truth:
    """All that really happened in a specimen up to ``duration_s``.

    Attributes
    ----------
    events : tuple of TruthEvent
        In the order of their onset.
    names : Mapping[str, str]
        From the kind of an event to the name of the occurrence it should be.
    tolerance_s, tolerance_um : float
        How far off an occurrence may be and still be this event.
    tolerances_s : Mapping[str, float]
        By kind of event, in place of ``tolerance_s``.
    ignore : tuple of tuple of float
        ``(t0_s, t1_s, x_um, y_um, radius_um)``: occurrences there are not judged.
    duration_s : float
        The truth is complete up to this time.
    """

    events: tuple[TruthEvent, ...]
    names: Mapping[str, str] = field(default_factory=dict)
    tolerance_s: float = 300.0
    tolerance_um: float = 10.0
    tolerances_s: Mapping[str, float] = field(default_factory=dict)
    ignore: tuple[tuple[float, float, float, float, float], ...] = ()
    duration_s: float = 0.0

    def tolerance_of_s(self, kind: str) -> float:
        """Return how far off in time an occurrence of a kind of event may be."""
        return self.tolerances_s.get(kind, self.tolerance_s)

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values; ``from_record`` is the way back."""
        return {
            "events": [
                {k: v for k, v in asdict(e).items() if v is not None}
                for e in self.events
            ],
            "names": dict(self.names),
            "tolerance_s": self.tolerance_s,
            "tolerance_um": self.tolerance_um,
            "tolerances_s": dict(self.tolerances_s),
            "ignore": [list(region) for region in self.ignore],
            "duration_s": self.duration_s,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Truth:
        """Rebuild a truth from what ``to_record`` returned.

        Raises
        ------
        KeyError, TypeError
            If the record was not made by ``to_record``.
        """
        return cls(
            events=tuple(TruthEvent(**e) for e in record["events"]),
            names=dict(record["names"]),
            tolerance_s=record["tolerance_s"],
            tolerance_um=record["tolerance_um"],
            # runs from before there was one for each kind have none
            tolerances_s=dict(record.get("tolerances_s") or {}),
            ignore=tuple(
                (float(a), float(b), float(x), float(y), float(r))
                for a, b, x, y, r in record["ignore"]
            ),
            duration_s=record["duration_s"],
        )
