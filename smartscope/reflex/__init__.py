"""Frames in, decisions out: inference, recognition and response in a row."""

from smartscope.reflex.past import Past
from smartscope.reflex.reaction import Reaction
from smartscope.reflex.reflex import Reflex, looked_at
from smartscope.reflex.rival import rival_of
from smartscope.reflex.seed import Seed

__all__ = ["Past", "Reaction", "Reflex", "Seed", "looked_at", "rival_of"]
