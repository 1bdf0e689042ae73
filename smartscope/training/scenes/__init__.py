"""Images drawn by a program, to train on: what lies there, and what a camera shows.

It needs neither torch nor files: numpy and scipy draw all of it from a seed.
"""

from smartscope.training.scenes.camera import Camera, expose, taken
from smartscope.training.scenes.scene import (
    BRIGHT,
    KINDS,
    Kind,
    draw_scene,
    drawn_photons,
    with_photons,
)
from smartscope.training.scenes.spots import SpotScene, draw_spots
from smartscope.training.scenes.targets import draw_target

__all__ = [
    "BRIGHT",
    "KINDS",
    "Camera",
    "Kind",
    "SpotScene",
    "draw_scene",
    "draw_spots",
    "draw_target",
    "drawn_photons",
    "expose",
    "taken",
    "with_photons",
]
