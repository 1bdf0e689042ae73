"""What an event belongs to: its place, who ordered it, where its frame is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from useq import MDAEvent

from smartscope.acquisition.frame import Origin

_KEY = "smartscope"


@dataclass(frozen=True, slots=True)
class EventTag:
    """Travels in ``event.metadata["smartscope"]`` as plain values.

    Attributes
    ----------
    place : str
        The place it shows.
    origin : {"survey", "burst", "series", "audit", "visit", "stimulation", "focus"}
        Who ordered it.
    decision_id : str
        Of a burst, series, visit, stimulation or audit look, its decision; else
        ``""``.
    image : str
        Name of the image in the store.
    index : tuple of int
        (t, c, z) of the frame in that image.
    objective : str or None
        Label of the objective for this event; None: that of the survey.
    power_percent : float or None
        Power of the light for this event; None: what channel and setup say.
    roi_um : float or None
        Edge of the square about the middle of the field that is read; None: all that
        the survey reads.
    lit_share : float
        Share of the field that is lit: below 1 through the pattern of a modulator.
    focus_um : float or None
        Correction of the focus at its place that its z contains; None: none.
    """

    place: str = "p0"
    origin: Origin = "survey"
    decision_id: str = ""
    image: str = "survey_p0"
    index: tuple[int, int, int] = (0, 0, 0)
    power_percent: float | None = None
    roi_um: float | None = None
    objective: str | None = None
    lit_share: float = 1.0
    focus_um: float | None = None

    def values(self) -> dict[str, object]:
        """Return the metadata that carry this tag."""
        values: dict[str, Any] = {
            "place": self.place,
            "origin": self.origin,
            "decision_id": self.decision_id,
            "image": self.image,
            "index": self.index,
        }
        # seldom, and the headers of all frames carry them
        if self.power_percent is not None:
            values["power_percent"] = self.power_percent
        if self.roi_um is not None:
            values["roi_um"] = self.roi_um
        if self.objective is not None:
            values["objective"] = self.objective
        if self.lit_share != 1.0:
            values["lit_share"] = self.lit_share
        if self.focus_um is not None:
            values["focus_um"] = self.focus_um
        return {_KEY: values}

    def on(self, event: MDAEvent) -> MDAEvent:
        """Return a copy of the event that carries this tag."""
        metadata = {**event.metadata, **self.values()}
        return event.model_copy(update={"metadata": metadata})

    @classmethod
    def of(cls, event: MDAEvent) -> EventTag:
        """Read the tag of an event; one without a tag is of the survey."""
        values = event.metadata.get(_KEY)
        if values is not None:
            t, c, z = values["index"]
            return cls(
                values["place"],
                values["origin"],
                values["decision_id"],
                values["image"],
                (t, c, z),
                values.get("power_percent"),
                values.get("roi_um"),
                values.get("objective"),
                values.get("lit_share", 1.0),
                values.get("focus_um"),
            )
        return cls.of_survey(event)

    @classmethod
    def of_survey(cls, event: MDAEvent) -> EventTag:
        """Return the tag of an event of the survey: each tile of a grid is a place."""
        index = event.index
        place = f"p{index.get('p', 0)}"
        if "g" in index:
            place += f"g{index['g']}"
        return cls(
            place=place,
            image=f"survey_{place}",
            index=(index.get("t", 0), index.get("c", 0), index.get("z", 0)),
        )
