"""Is it right: scores against truth, equal light; arrays in, numbers out."""

from smartscope.validation.controls import read_controls
from smartscope.validation.equal_light import equal_light, frames_about
from smartscope.validation.intervals import mean_interval
from smartscope.validation.model_verdicts import (
    ModelVerdict,
    find_verdict,
    store_verdict,
    verdict_folder,
)
from smartscope.validation.rivals import f1, labels_of, matched, tell_rivals
from smartscope.validation.run_score import score_run
from smartscope.validation.scoring import score_occurrences
from smartscope.validation.view import View, views
from smartscope.validation.visits import read_visits

__all__ = [
    "ModelVerdict",
    "View",
    "equal_light",
    "f1",
    "find_verdict",
    "frames_about",
    "labels_of",
    "matched",
    "mean_interval",
    "read_controls",
    "read_visits",
    "score_occurrences",
    "score_run",
    "store_verdict",
    "tell_rivals",
    "verdict_folder",
    "views",
]
