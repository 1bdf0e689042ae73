"""Which settings a policy of the experiment file has: told by its word ``policy``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Tag
from pydantic_core import PydanticCustomError

from smartscope.errors import nearest
from smartscope.response import (
    BUILT_IN,
    AdaptExposureSettings,
    AutofocusPolicySettings,
    BookmarkSettings,
    BurstSettings,
    EndSurveySettings,
    FollowSettings,
    IntervalSettings,
    NotifySettings,
    OwnPolicySettings,
    PauseSettings,
    PreTriggerSettings,
    SeriesSettings,
    SetPropertySettings,
    StimulateSettings,
    VisitSettings,
)


def _word(value: Any) -> str:
    word = (
        value.get("policy")
        if isinstance(value, Mapping)
        else getattr(value, "policy", None)
    )
    return word if word in BUILT_IN else "own"


def _known(value: Any) -> Any:
    """Refuse a word that is nothing; as one's own policy its keys would be told."""
    if isinstance(value, Mapping) and "policy" not in value:
        raise PydanticCustomError(
            "policy", "{told}", {"told": "needs the key 'policy'."}
        )
    word = value.get("policy") if isinstance(value, Mapping) else None
    if not isinstance(word, str) or word in BUILT_IN or ":" in word:
        return value
    own = {e.name for e in entry_points(group="smartscope.policies")}
    if word in own:
        return value
    known = sorted({*BUILT_IN, *own})
    raise PydanticCustomError(
        "policy",
        "{told}",
        {
            "told": f"unknown policy '{word}'; known: {', '.join(known)}, or one's own "
            f"as 'module:Class'.{nearest(word, known)}"
        },
    )


AnyPolicySettings = Annotated[
    Annotated[FollowSettings, Tag("follow")]
    | Annotated[BurstSettings, Tag("burst")]
    | Annotated[AdaptExposureSettings, Tag("adapt_exposure")]
    | Annotated[IntervalSettings, Tag("interval")]
    | Annotated[SeriesSettings, Tag("series")]
    | Annotated[PauseSettings, Tag("pause")]
    | Annotated[SetPropertySettings, Tag("set_property")]
    | Annotated[StimulateSettings, Tag("stimulate")]
    | Annotated[VisitSettings, Tag("visit")]
    | Annotated[EndSurveySettings, Tag("end_survey")]
    | Annotated[PreTriggerSettings, Tag("pre_trigger")]
    | Annotated[BookmarkSettings, Tag("bookmark")]
    | Annotated[NotifySettings, Tag("notify")]
    | Annotated[AutofocusPolicySettings, Tag("autofocus")]
    | Annotated[OwnPolicySettings, Tag("own")],
    Discriminator(_word),
    BeforeValidator(_known),
]
