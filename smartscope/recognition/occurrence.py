"""Something that happens in the specimen."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Occurrence(BaseModel):
    """Something that happens in the specimen: a division, an arrival, a flash.

    Attributes
    ----------
    occurrence_id : str
        Unique within a run: ``"<frame id>.<number>"``.
    name : str
        Its name in the experiment file.
    kind : str
        How it was recognised: appear, disappear, split, brighten or a user's word.
    place : str
        Where, as the frames say.
    x_um, y_um : float
        Where on the stage.
    onset_s : float
        Time of the first frame that shows it, on the run's clock.
    seen_s : float
        Time of the frame in which it was recognised.
    confidence : float
        0 to 1.
    track_ids : tuple of int
        The tracks it is about; of a split the mother, then the daughters, the brighter
        one first.
    frame_ids : tuple of int
        The frames that caused it, the last one being the one it was recognised in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    occurrence_id: str
    name: str
    kind: str
    place: str
    x_um: float
    y_um: float
    onset_s: float
    seen_s: float
    confidence: float
    track_ids: tuple[int, ...] = ()
    frame_ids: tuple[int, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """Return plain values for the journal."""
        return self.model_dump(mode="json")
