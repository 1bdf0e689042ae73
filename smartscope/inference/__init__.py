"""Frames in, arrays out: model packages, sessions, the denoise → detect pipeline."""

from smartscope.inference.settings import DenoiseSettings, DetectSettings, Device

__all__ = ["DenoiseSettings", "DetectSettings", "Device"]
