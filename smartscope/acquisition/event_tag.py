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
    origin : {"survey", "burst", "series", "audit"}
        Who ordered it.
    decision_id : str
        Of a burst, series or audit look, its decision; else ``""``.
    image : str
        Name of the image in the store.
    index : tuple of int
        (t, c, z) of the frame in that image.
    power_percent : float or None
        Power of the light for this event; None: what channel and setup say.
    roi_um : float or None
        Edge of the square about the middle of the field that is read; None: all that
        the survey reads.
    """

    place: str = "p0"
    origin: Origin = "survey"
    decision_id: str = ""
    image: str = "survey_p0"
    index: tuple[int, int, int] = (0, 0, 0)
    power_percent: float | None = None
    roi_um: float | None = None

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
