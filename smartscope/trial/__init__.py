"""A model on trial: run on truths, compared, drawn, its verdict kept for runs."""

from smartscope.trial.finding import frame_of, with_labels
from smartscope.trial.judgement import Judgement, validate, validate_live
from smartscope.trial.pairing import Finds, finds, finds_in_each, lowest_threshold
from smartscope.trial.restoration import judge_restoration
from smartscope.trial.tuned_gaussian import tuned_gaussian
from smartscope.trial.tuned_log import tuned_log

__all__ = [
    "Finds",
    "Judgement",
    "finds",
    "finds_in_each",
    "frame_of",
    "judge_restoration",
    "lowest_threshold",
    "tuned_gaussian",
    "tuned_log",
    "validate",
    "validate_live",
    "with_labels",
]
