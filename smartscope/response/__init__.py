"""Things in, decisions out: observation, policies, actions, arbiter, planner."""

from smartscope.response.actions import (
    Action,
    AuditLook,
    Bookmark,
    Burst,
    EndSeries,
    EndSurvey,
    KeepFrames,
    MoveSeries,
    MoveStage,
    Notify,
    Pause,
    Refocus,
    Series,
    SetExposure,
    SetInterval,
    SetPower,
    SetProperty,
    parse_action,
)
from smartscope.response.arbiter import Arbiter, Wish
from smartscope.response.decision import (
    LET_THROUGH,
    Decision,
    Outcome,
    OutcomeStatus,
    Verdict,
)
from smartscope.response.draw import drawn
from smartscope.response.edits import EditRefused, edited
from smartscope.response.focus_orders import FocusOrders
from smartscope.response.focus_settings import (
    AutofocusPolicySettings,
    FocusHow,
    FocusSettings,
)
from smartscope.response.follow_settings import FollowSettings, FollowZSettings
from smartscope.response.observation import Observation
from smartscope.response.panel import Asked, PolicyPanel, names_of
from smartscope.response.planner import Planner
from smartscope.response.policies import load_policy
from smartscope.response.policy import Policy
from smartscope.response.settings import (
    BUILT_IN,
    AdaptExposureSettings,
    AuditPolicySettings,
    BookmarkSettings,
    BuiltInPolicySettings,
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
from smartscope.response.stimulation import Spot, Stimulate
from smartscope.response.target import Target, target_of
from smartscope.response.tour import TourPlan
from smartscope.response.visit_settings import AfterHits, VisitSettings
from smartscope.response.visiting import Visit

__all__ = [
    "BUILT_IN",
    "LET_THROUGH",
    "Action",
    "AdaptExposureSettings",
    "AfterHits",
    "Arbiter",
    "Asked",
    "AuditLook",
    "AuditPolicySettings",
    "AutofocusPolicySettings",
    "Bookmark",
    "BookmarkSettings",
    "BuiltInPolicySettings",
    "Burst",
    "BurstSettings",
    "Decision",
    "EditRefused",
    "EndSeries",
    "EndSurvey",
    "EndSurveySettings",
    "FocusHow",
    "FocusOrders",
    "FocusSettings",
    "FollowSettings",
    "FollowZSettings",
    "IntervalSettings",
    "KeepFrames",
    "MoveSeries",
    "MoveStage",
    "Notify",
    "NotifySettings",
    "Observation",
    "Outcome",
    "OutcomeStatus",
    "OwnPolicySettings",
    "Pause",
    "PauseSettings",
    "PlaceboPolicySettings",
    "Planner",
    "Policy",
    "PolicyPanel",
    "PolicySettings",
    "PreTriggerSettings",
    "Refocus",
    "Series",
    "SeriesSettings",
    "SetExposure",
    "SetInterval",
    "SetPower",
    "SetProperty",
    "SetPropertySettings",
    "Spot",
    "Stimulate",
    "StimulateSettings",
    "Target",
    "TourPlan",
    "Verdict",
    "Visit",
    "VisitSettings",
    "Wish",
    "drawn",
    "edited",
    "load_policy",
    "names_of",
    "parse_action",
    "target_of",
]
