"""How models are trained."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

Method = Literal["n2v", "n2n", "care"]


class LearnSettings(BaseModel):
    """How long and in what steps; the defaults are for two cores and a few minutes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    patch_px: int = Field(64, ge=32, le=512, description="Edge of a patch.")
    batch: int = Field(16, ge=1, le=256, description="Patches of a step.")
    steps: int = Field(4000, ge=1, description="At most.")
    minutes: PositiveFloat = Field(10.0, description="At most, of training.")
    rate: PositiveFloat = Field(
        1e-3, description="Of learning, falling to a hundredth."
    )
    every: int = Field(50, ge=1, description="Steps between two looks at validation.")
    patience: int = Field(
        20, ge=1, description="Looks without a better one after which training ends."
    )
    seed: int = Field(0, ge=0, description="Of weights, patches and what is drawn.")


class StarSettings(LearnSettings):
    """Of a detector of outlines."""

    patch_px: int = Field(
        192, ge=64, le=512, multiple_of=16, description="Edge of a patch."
    )
    batch: int = Field(6, ge=1, le=256, description="Patches of a step.")
    steps: int = Field(20_000, ge=1, description="At most.")
    minutes: PositiveFloat = Field(30.0, description="At most, of training.")
    rate: PositiveFloat = Field(
        2e-3, description="Of learning, falling to a hundredth."
    )
    every: int = Field(100, ge=1, description="Steps between two looks at validation.")
    size: Literal["small", "medium", "large"] = Field(
        "medium", description="How wide the network is, and how much a frame costs."
    )
    rays: int = Field(32, ge=8, le=128, description="Rays of an outline.")
    validation: float = Field(
        0.1, gt=0, lt=0.5, description="Share of the images that watches."
    )
    test: float = Field(
        0.2, gt=0, lt=0.5, description="Share of the images that judges; never seen."
    )


class TrainSettings(LearnSettings):
    """Of a denoiser."""

    method: Method = Field(
        description="care: from noisy to clean; n2n: from one noisy image to another "
        "of the same; n2v: from a noisy image alone, by pixels it must not look at."
    )
    width: int = Field(16, ge=4, le=256, description="Channels of the first level.")
    levels: int = Field(2, ge=1, le=4, description="How often sizes are halved.")
    masked: float = Field(
        0.06, gt=0, le=0.2, description="Of n2v: share of the pixels that are hidden."
    )
