"""Is it right: scores against truth, equal light; arrays in, numbers out."""

from smartscope.validation.controls import read_controls
from smartscope.validation.equal_light import equal_light
from smartscope.validation.intervals import mean_interval
from smartscope.validation.model_verdicts import (
    ModelVerdict,
    find_verdict,
    store_verdict,
    verdict_folder,
)
from smartscope.validation.run_score import score_run
from smartscope.validation.scoring import score_occurrences
from smartscope.validation.view import View, views

__all__ = [
    "ModelVerdict",
    "View",
    "equal_light",
    "find_verdict",
    "mean_interval",
    "read_controls",
    "score_occurrences",
    "score_run",
    "store_verdict",
    "verdict_folder",
    "views",
]
