"""Events that the camera can take in one go, as one triggered sequence.

The only file that knows pymmcore-plus' private sequence class.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from pymmcore_plus import CMMCorePlus
from pymmcore_plus.core._sequencing import SequencedEvent, iter_sequenced_events
from useq import MDAEvent

from smartscope.acquisition.event_tag import EventTag

__all__ = ["SequencedEvent", "parts", "sequenced"]


def sequenced(core: CMMCorePlus, events: Iterable[MDAEvent]) -> Iterator[MDAEvent]:
    """Merge events that the hardware can take as one triggered sequence.

    Events come out in their order; one that cannot be merged comes out as it is.
    """
    # Of presets with Python devices pymmcore-plus sees no properties and would merge
    # different channels into one sequence, so it is never shown two channels at once.
    # What stands in our own tags it does not see either.
    for _, run in itertools.groupby(events, key=_set_alike):
        yield from iter_sequenced_events(core, run)


def _set_alike(event: MDAEvent) -> tuple[object, ...]:
    tag = EventTag.of(event)
    return event.channel, tag.power_percent, tag.roi_um, tag.objective


def parts(event: MDAEvent) -> Sequence[MDAEvent]:
    """Return the single events of a sequence, or the event itself."""
    return event.events if isinstance(event, SequencedEvent) else (event,)
