"""What the images of a run will be, before their first frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from smartscope.acquisition import EventTag
from smartscope.response import Burst, Series, Visit
from smartscope.storage import ImageSpec

if TYPE_CHECKING:
    from useq import MDAEvent


def survey_images(survey: Any) -> Iterator[ImageSpec]:
    """Yield an image for each place of a survey.

    Parameters
    ----------
    survey : useq.MDASequence
        Its channels and planes are those of every place.
    """
    channels = tuple(c.config for c in survey.channels) or ("",)
    planes = max(1, survey.sizes.get("z", 1))
    step = 1.0
    if survey.z_plan is not None and planes > 1:
        heights = list(survey.z_plan)
        step = abs(heights[1] - heights[0]) or 1.0
    for place in survey_places(survey):
        yield ImageSpec(f"survey_{place}", channels, z_planes=planes, z_step_um=step)


def survey_places(survey: Any) -> list[str]:
    """Return the places of a survey (useq.MDASequence), sorted."""
    return sorted({EventTag.of_survey(e).place for e in _first_round(survey)})


def image_of(action: Burst | Series | Visit, name: str) -> ImageSpec:
    """Return the image of a series, a visit, or a burst of channels and planes."""
    return ImageSpec(
        name,
        action.channels or ("",),
        z_planes=action.z_planes,
        z_step_um=action.z_step_um,
        interval_s=action.interval_s or None,
        times=action.visits if isinstance(action, Series) else action.frames,
        notes=_notes(action),
    )


def _notes(action: Burst | Series | Visit) -> dict[str, Any]:
    """Return what a reader cannot see in the pixels."""
    if not isinstance(action, Visit) or action.objective is None:
        return {}
    return {"place": action.place, "objective": action.objective}


def _first_round(survey: Any) -> list[MDAEvent]:
    """Return the events of the first time point: they name every place."""
    events: list[MDAEvent] = []
    seen: set[tuple[int, int]] = set()
    for event in survey:
        if event.index.get("t", 0) > 0 and survey.axis_order[:1] == ("t",):
            break
        key = (event.index.get("p", 0), event.index.get("g", 0))
        if key not in seen:
            seen.add(key)
            events.append(event)
    return events
