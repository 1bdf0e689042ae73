"""Noisy and clean images of the same: taken on the microscope, read, checked."""

from smartscope.pairs.example import SPLITS, Example, Split, pixels_sha256
from smartscope.pairs.folder import PairFolder, checked, saturated_share
from smartscope.pairs.manifest import MANIFEST, Manifest, TakenPair
from smartscope.pairs.pointed import (
    POINTED_RULE,
    Pointed,
    pointed_kind,
    read_pointed,
)
from smartscope.pairs.registration import Shift, shift_between
from smartscope.pairs.taking import Taken, take_pairs

__all__ = [
    "MANIFEST",
    "POINTED_RULE",
    "SPLITS",
    "Example",
    "Manifest",
    "PairFolder",
    "Pointed",
    "Shift",
    "Split",
    "Taken",
    "TakenPair",
    "checked",
    "pixels_sha256",
    "pointed_kind",
    "read_pointed",
    "saturated_share",
    "shift_between",
    "take_pairs",
]
