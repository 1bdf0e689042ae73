"""A microscope's file and Micro-Manager's devices → an open, guarded core."""

from smartscope.microscope.opening import open_microscope
from smartscope.microscope.scope import Microscope
from smartscope.microscope.settings import (
    MicroscopeSettings,
    find_microscope,
    read_microscope,
    shipped_microscopes,
)
from smartscope.microscope.slm_calibration import SlmCalibration, calibrate_slm

__all__ = [
    "Microscope",
    "MicroscopeSettings",
    "SlmCalibration",
    "calibrate_slm",
    "find_microscope",
    "open_microscope",
    "read_microscope",
    "shipped_microscopes",
]
