"""A microscope's file and Micro-Manager's devices → an open, guarded core."""

from smartscope.microscope.opening import open_microscope
from smartscope.microscope.scope import Microscope
from smartscope.microscope.settings import (
    MicroscopeSettings,
    find_microscope,
    read_microscope,
    shipped_microscopes,
)

__all__ = [
    "Microscope",
    "MicroscopeSettings",
    "find_microscope",
    "open_microscope",
    "read_microscope",
    "shipped_microscopes",
]
