"""How a denoising model is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

Method = Literal["n2v", "n2n", "care"]


class TrainSettings(BaseModel):
    """What may be chosen; the defaults are for two cores and a few minutes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: Method = Field(
        description="care: from noisy to clean; n2n: from one noisy image to another "
        "of the same; n2v: from a noisy image alone, by pixels it must not look at."
    )
    width: int = Field(16, ge=4, le=256, description="Channels of the first level.")
    levels: int = Field(2, ge=1, le=4, description="How often sizes are halved.")
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
    masked: float = Field(
        0.06, gt=0, le=0.2, description="Of n2v: share of the pixels that are hidden."
    )
    seed: int = Field(0, ge=0, description="Of weights, patches and hidden pixels.")
