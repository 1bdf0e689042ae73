"""Things in, decisions out: observation, policies, actions, arbiter, planner."""

from smartscope.response.actions import (
    Action,
    Bookmark,
    Burst,
    EndSeries,
    EndSurvey,
    MoveSeries,
    MoveStage,
    Notify,
    Pause,
    Series,
    SetExposure,
    SetInterval,
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
from smartscope.response.observation import Observation
from smartscope.response.panel import Asked, PolicyPanel, names_of
from smartscope.response.planner import Planner
from smartscope.response.policies import load_policy
from smartscope.response.policy import Policy
from smartscope.response.settings import (
    BUILT_IN,
    AdaptExposureSettings,
    BookmarkSettings,
    BuiltInPolicySettings,
    BurstSettings,
    EndSurveySettings,
    FollowSettings,
    IntervalSettings,
    NotifySettings,
    OwnPolicySettings,
    PauseSettings,
    PlaceboPolicySettings,
    PolicySettings,
    SeriesSettings,
)

__all__ = [
    "BUILT_IN",
    "LET_THROUGH",
    "Action",
    "AdaptExposureSettings",
    "Arbiter",
    "Asked",
    "Bookmark",
    "BookmarkSettings",
    "BuiltInPolicySettings",
    "Burst",
    "BurstSettings",
    "Decision",
    "EndSeries",
    "EndSurvey",
    "EndSurveySettings",
    "FollowSettings",
    "IntervalSettings",
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
    "Series",
    "SeriesSettings",
    "SetExposure",
    "SetInterval",
    "Verdict",
    "Wish",
    "drawn",
    "load_policy",
    "names_of",
    "parse_action",
]
