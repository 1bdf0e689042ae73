"""Things in, decisions out: observation, policies, actions, arbiter, planner."""

from smartscope.response.actions import (
    Action,
    Burst,
    MoveStage,
    SetExposure,
    SetInterval,
    parse_action,
)
from smartscope.response.arbiter import Arbiter, Wish
from smartscope.response.decision import Decision, Outcome, OutcomeStatus, Verdict
from smartscope.response.observation import Observation
from smartscope.response.panel import Asked, PolicyPanel
from smartscope.response.planner import Planner
from smartscope.response.policies import load_policy
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
    "Arbiter",
    "Asked",
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
    "Planner",
    "Policy",
    "PolicyPanel",
    "PolicySettings",
    "SetExposure",
    "SetInterval",
    "Verdict",
    "Wish",
    "load_policy",
    "parse_action",
]
