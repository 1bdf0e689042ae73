"""What happens in the looks of an audit, recognised apart from the survey."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping

from smartscope.acquisition import Frame
from smartscope.recognition import (
    Detections,
    Occurrence,
    OccurrenceRecognizer,
    OccurrenceSettings,
    Pair,
    Tracker,
    TrackSettings,
)

# looks that may be under way at the same time, or whose last frames may still wait
_OPEN = 64


class Audit:
    """Recognises occurrences in each look by itself.

    A look begins without a past and knows nothing of the survey: what it finds can be
    compared with what the survey has found. Its frames change no track of the survey.

    Parameters
    ----------
    occurrences : Mapping of str to OccurrenceSettings
        Those of the experiment.
    track : TrackSettings
        Those of the experiment.
    measured : collection of str
        What is measured of the pixels of things.
    """

    def __init__(
        self,
        occurrences: Mapping[str, OccurrenceSettings],
        track: TrackSettings,
        measured: Collection[str] = (),
    ) -> None:
        self._occurrences = occurrences
        self._track = track
        self._measured = measured
        self._looks: OrderedDict[str, tuple[Tracker, OccurrenceRecognizer]] = (
            OrderedDict()
        )

    def recognise(
        self, frame: Frame, detections: Detections, pair: Pair | None = None
    ) -> tuple[Occurrence, ...]:
        """Return what has happened with this frame of a look.

        Parameters
        ----------
        frame : Frame
            Of an audit; its decision tells which look it is of.
        detections : Detections
            Things in it.
        pair : Pair, optional
            Two channels of its visit, whose ratio is measured.
        """
        look = self._looks.pop(frame.decision_id, None)
        if look is None:
            recognizer = OccurrenceRecognizer(self._occurrences, self._track)
            look = Tracker(self._track, self._measured), recognizer
        self._looks[frame.decision_id] = look
        if len(self._looks) > _OPEN:
            self._looks.popitem(last=False)
        tracker, recognizer = look
        tracking = tracker.update(frame, detections, pair)
        return tuple(recognizer.recognise(tracking, tracker))
