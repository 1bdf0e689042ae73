"""From a policy's settings to the policy: built in, by entry point, or one's own."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from smartscope.errors import Refused, nearest
from smartscope.response.focus_settings import AutofocusPolicySettings
from smartscope.response.follow_settings import FollowSettings
from smartscope.response.policies.adapt_exposure import AdaptExposure
from smartscope.response.policies.audit import AuditLooks
from smartscope.response.policies.autofocus import AutofocusAtHit
from smartscope.response.policies.burst import BurstAtHit
from smartscope.response.policies.follow import Follow
from smartscope.response.policies.interval import Interval
from smartscope.response.policies.placebo import PlaceboBursts
from smartscope.response.policies.pre_trigger import PreTrigger
from smartscope.response.policies.series import SeriesAtHit
from smartscope.response.policies.set_property import SetPropertyAtHit
from smartscope.response.policies.stimulate import StimulateObjects
from smartscope.response.policies.visit import VisitHits
from smartscope.response.policies.watch import (
    EndAtHits,
    MarkHits,
    NotifyAtHits,
    PauseAtHit,
)
from smartscope.response.policy import Policy
from smartscope.response.settings import (
    BUILT_IN,
    AdaptExposureSettings,
    AuditPolicySettings,
    BookmarkSettings,
    BurstSettings,
    EndSurveySettings,
    IntervalSettings,
    NotifySettings,
    OwnPolicySettings,
    PauseSettings,
    PlaceboPolicySettings,
    PolicySettings,
    PreTriggerSettings,
    SeriesSettings,
    SetPropertySettings,
)
from smartscope.response.stimulate_settings import StimulateSettings
from smartscope.response.visit_settings import VisitSettings

ENTRY_POINTS = "smartscope.policies"


def load_policy(settings: PolicySettings) -> Policy:
    """Build a policy from its settings.

    Raises
    ------
    smartscope.errors.Refused
        If a policy of one's own cannot be found, imported or built, or cannot decide.
    """
    match settings:
        case FollowSettings():
            return Follow(settings)
        case BurstSettings():
            return BurstAtHit(settings)
        case AdaptExposureSettings():
            return AdaptExposure(settings)
        case IntervalSettings():
            return Interval(settings)
        case SeriesSettings():
            return SeriesAtHit(settings)
        case PauseSettings():
            return PauseAtHit(settings)
        case SetPropertySettings():
            return SetPropertyAtHit(settings)
        case StimulateSettings():
            return StimulateObjects(settings)
        case VisitSettings():
            return VisitHits(settings)
        case EndSurveySettings():
            return EndAtHits(settings)
        case PreTriggerSettings():
            return PreTrigger(settings)
        case BookmarkSettings():
            return MarkHits(settings)
        case NotifySettings():
            return NotifyAtHits(settings)
        case AutofocusPolicySettings():
            return AutofocusAtHit(settings)
        case PlaceboPolicySettings():
            return PlaceboBursts(settings)
        case AuditPolicySettings():
            return AuditLooks(settings)
    return _own(settings)


def _own(settings: OwnPolicySettings) -> Policy:
    word = settings.policy
    maker = _named(word) if ":" in word else _entered(word)
    try:
        policy: Policy = maker(**settings.options)
    # whatever the user's constructor raises is the user's mistake, told as such
    except (Exception, SystemExit) as e:
        raise Refused(
            f"The policy {word!r} could not be built with options "
            f"{_shown(settings.options)}: {type(e).__name__}: {e}.",
            rule="A policy of one's own is built with its options as keywords.",
            way_out="Correct the options, or the class.",
        ) from e
    if not callable(getattr(policy, "decide", None)):
        raise Refused(
            f"The policy {word!r} is a {type(policy).__name__} without a method "
            "'decide'.",
            rule="A policy has a method decide(observation) that returns actions.",
            way_out="Give it one; the built-in policies are examples.",
        )
    return policy


def _named(word: str) -> Any:
    module, _, name = word.partition(":")
    try:
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    # importing runs foreign code, which may raise anything or leave (SystemExit)
    except (Exception, SystemExit) as e:
        raise Refused(
            f"The policy {word!r} could not be imported: {type(e).__name__}: {e}.",
            rule="A policy of one's own is named 'module:Class'.",
            way_out="Install the module, or put its folder on PYTHONPATH.",
        ) from e
    return found


def _entered(word: str) -> Any:
    known = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if word not in known:
        names = (*BUILT_IN, *sorted(known))
        raise Refused(
            f"There is no policy {word!r}.{nearest(word, names)}",
            rule=f"Known here: {', '.join(names)}; one's own is named 'module:Class'.",
            way_out="Choose one of them, or name your class.",
        )
    try:
        return known[word].load()
    # importing runs foreign code, which may raise anything or leave (SystemExit)
    except (Exception, SystemExit) as e:
        raise Refused(
            f"The policy {word!r} ({known[word].value}) could not be imported: "
            f"{type(e).__name__}: {e}.",
            rule=f"An entry point of the group {ENTRY_POINTS!r} names a class.",
            way_out="Install the package that provides it again.",
        ) from e


def _shown(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{k}={v!r}" for k, v in options.items()) or "(none)"
