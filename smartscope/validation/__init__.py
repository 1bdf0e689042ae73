"""Is it right: scores against truth, equal light; arrays in, numbers out."""

from smartscope.validation.controls import read_controls
from smartscope.validation.equal_light import equal_light
from smartscope.validation.run_score import score_run
from smartscope.validation.scoring import score_occurrences
from smartscope.validation.view import View, views

__all__ = [
    "View",
    "equal_light",
    "read_controls",
    "score_occurrences",
    "score_run",
    "views",
]
