"""The policies that come with smartscope, and how one's own are found."""

from smartscope.response.policies.adapt_exposure import AdaptExposure
from smartscope.response.policies.burst import BurstAtHit
from smartscope.response.policies.follow import Follow
from smartscope.response.policies.interval import Interval
from smartscope.response.policies.load import load_policy

__all__ = ["AdaptExposure", "BurstAtHit", "Follow", "Interval", "load_policy"]
