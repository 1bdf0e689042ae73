"""Drawn movies of dividing nuclei, from which the division model learns."""

from smartscope.training.divisions.cut_outs import CutOuts
from smartscope.training.divisions.movies import (
    DivisionMovies,
    DrawnMovie,
    draw_movie,
)
from smartscope.training.divisions.real import RealNuclei
from smartscope.training.divisions.seen import SeenDivision

__all__ = [
    "CutOuts",
    "DivisionMovies",
    "DrawnMovie",
    "RealNuclei",
    "SeenDivision",
    "draw_movie",
]
