"""What recognizers of a whole field share, whatever they judge it by."""

from __future__ import annotations

from collections.abc import Hashable

from smartscope.recognition.occurrences.condition import Condition
from smartscope.recognition.occurrences.of_track import Judged
from smartscope.recognition.occurrences.sighting import Sighting
from smartscope.recognition.tracker import Tracking


class SceneRecognizer:
    """Says so when something about the field is so in n of its last m looks.

    The confidence is the share of the looks taken into account that show it; where on
    the stage is the middle of the field. Nothing is remembered of tracks, and after a
    restart what fields and devices say is taken anew.

    Parameters
    ----------
    condition : Condition
        How many of how many.
    """

    def __init__(self, condition: Condition) -> None:
        self._condition = condition

    def counted(
        self, key: Hashable, tracking: Tracking, judged: Judged | None
    ) -> list[Sighting]:
        """Return a sighting if it is so from this frame on.

        Parameters
        ----------
        key : Hashable
            What looks are counted together.
        tracking : Tracking
            Of the frame.
        judged : tuple of bool or None
            Whether it is beyond the bound, and whether it has come back; None: the
            frame tells nothing.
        """
        scene = tracking.scene
        if judged is None or scene is None:
            return []
        held = self._condition.look(
            key,
            tracking.frame_id,
            tracking.time_s,
            beyond=judged[0],
            back=judged[1],
        )
        if held is None:
            return []
        x_um, y_um = scene.position_um
        return [
            Sighting(
                x_um=x_um,
                y_um=y_um,
                onset_s=held.onset_s,
                confidence=held.share,
                lives=(),
                frame_ids=held.frame_ids,
            )
        ]

    def resume(self, track_id: int) -> None:
        """Nothing: it is about no track."""

    def forget(self, track_id: int) -> None:
        """Nothing: it is about no track."""
