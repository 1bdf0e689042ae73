"""Frames in, arrays out: model packages, sessions, the denoise → detect pipeline."""

from smartscope.inference.bioimage import description_file
from smartscope.inference.card import HeadCard, ModelCard
from smartscope.inference.heads.boxes import BOX_CLASSES, BOX_SCORES, BOXES
from smartscope.inference.heads.class_peaks import (
    PEAK_CLASSES,
    PEAK_CROSSES,
    PEAK_OFFSETS,
    PEAK_POSITIONS,
)
from smartscope.inference.heads.classes import WHOLE_SCORES
from smartscope.inference.heads.labels import LABELS
from smartscope.inference.heads.peaks import Candidates
from smartscope.inference.heads.stardist import STAR_POINTS, STAR_RAYS, STAR_SCORES
from smartscope.inference.inferred import Inferred
from smartscope.inference.inspection import FirstCard, inspect_model, write_card
from smartscope.inference.model import Model
from smartscope.inference.model_package import ModelPackage, shipped_models
from smartscope.inference.packing import check_license, pack, training_record
from smartscope.inference.padding import map_to_frame
from smartscope.inference.page_lock import page_locked
from smartscope.inference.pipeline import Pipeline
from smartscope.inference.planes import Corrections, Planes
from smartscope.inference.runtime_probe import Provider, Runtime, probe_runtime
from smartscope.inference.session import PROFILES, ModelSession
from smartscope.inference.settings import (
    DenoiseSettings,
    DetectSettings,
    Device,
    HeadName,
)
from smartscope.inference.stored_weights import read_graph
from smartscope.inference.verification import Verdict, require_reproduced, verify

__all__ = [
    "BOXES",
    "BOX_CLASSES",
    "BOX_SCORES",
    "LABELS",
    "PEAK_CLASSES",
    "PEAK_CROSSES",
    "PEAK_OFFSETS",
    "PEAK_POSITIONS",
    "PROFILES",
    "STAR_POINTS",
    "STAR_RAYS",
    "STAR_SCORES",
    "WHOLE_SCORES",
    "Candidates",
    "Corrections",
    "DenoiseSettings",
    "DetectSettings",
    "Device",
    "FirstCard",
    "HeadCard",
    "HeadName",
    "Inferred",
    "Model",
    "ModelCard",
    "ModelPackage",
    "ModelSession",
    "Pipeline",
    "Planes",
    "Provider",
    "Runtime",
    "Verdict",
    "check_license",
    "description_file",
    "inspect_model",
    "map_to_frame",
    "pack",
    "page_locked",
    "probe_runtime",
    "read_graph",
    "require_reproduced",
    "shipped_models",
    "training_record",
    "verify",
    "write_card",
]
