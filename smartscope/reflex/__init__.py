"""Frames in, decisions out: inference, recognition and response in a row."""

from smartscope.reflex.reaction import Reaction
from smartscope.reflex.reflex import Reflex, looked_at
from smartscope.reflex.seed import Seed

__all__ = ["Reaction", "Reflex", "Seed", "looked_at"]
