"""Things in, decisions out: observation, policies, actions, arbiter, planner."""

from smartscope.response.actions import (
    Action,
    Burst,
    MoveStage,
    SetExposure,
    SetInterval,
    parse_action,
)
from smartscope.response.decision import Decision, Outcome, OutcomeStatus, Verdict
from smartscope.response.observation import Observation
from smartscope.response.policy import Policy
from smartscope.response.settings import (
    BUILT_IN,
    AdaptExposureSettings,
    BuiltInPolicySettings,
    BurstSettings,
    FollowSettings,
    IntervalSettings,
    OwnPolicySettings,
    PolicySettings,
)

__all__ = [
    "BUILT_IN",
    "Action",
    "AdaptExposureSettings",
    "BuiltInPolicySettings",
    "Burst",
    "BurstSettings",
    "Decision",
    "FollowSettings",
    "IntervalSettings",
    "MoveStage",
    "Observation",
    "Outcome",
    "OutcomeStatus",
    "OwnPolicySettings",
    "Policy",
    "PolicySettings",
    "SetExposure",
    "SetInterval",
    "Verdict",
    "parse_action",
]
