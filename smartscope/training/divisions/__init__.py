"""Drawn movies of dividing nuclei, from which the division model learns."""

from smartscope.training.divisions.figures import Figures
from smartscope.training.divisions.movies import (
    DivisionMovies,
    DrawnMovie,
    draw_movie,
)
from smartscope.training.divisions.real import RealNuclei
from smartscope.training.divisions.seen import SeenDivision

__all__ = [
    "DivisionMovies",
    "DrawnMovie",
    "Figures",
    "RealNuclei",
    "SeenDivision",
    "draw_movie",
]
