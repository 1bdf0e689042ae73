"""Frames in, arrays out: model packages, sessions, the denoise → detect pipeline."""

from smartscope.inference.card import HeadCard, HeadName, ModelCard
from smartscope.inference.heads.peaks import Candidates
from smartscope.inference.model import Model
from smartscope.inference.model_package import ModelPackage, shipped_models
from smartscope.inference.padding import map_to_frame
from smartscope.inference.pipeline import Inferred, Pipeline
from smartscope.inference.session import ModelSession
from smartscope.inference.settings import DenoiseSettings, DetectSettings, Device

__all__ = [
    "Candidates",
    "DenoiseSettings",
    "DetectSettings",
    "Device",
    "HeadCard",
    "HeadName",
    "Inferred",
    "Model",
    "ModelCard",
    "ModelPackage",
    "ModelSession",
    "Pipeline",
    "map_to_frame",
    "shipped_models",
]
