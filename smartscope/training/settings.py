"""How models are trained."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

Method = Literal["n2v", "n2n", "care"]

_OF_SMALL = {"grid": 1, "least_noise": 0.001, "most_contrast": 100.0}
_SMALL_PX = 4.0  # on a map of half the resolution two points are 6 pixels apart


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
    bfloat16: bool = Field(
        False,
        description="On a CPU, reckon in bfloat16: quicker where it has instructions "
        "for that (AVX-512 BF16, AMX), slower elsewhere. On a GPU float16 is mixed in.",
    )


class PartedSettings(LearnSettings):
    """Of a detector that learns from a folder, which is parted by names."""

    validation: float = Field(
        0.1, gt=0, lt=0.5, description="Share of the images that watches."
    )
    test: float = Field(
        0.2, gt=0, lt=0.5, description="Share of the images that judges; never seen."
    )


class StarSettings(PartedSettings):
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


class HeatSettings(PartedSettings):
    """Of a detector of points or events."""

    patch_px: int = Field(
        128, ge=32, le=512, multiple_of=8, description="Edge of a patch."
    )
    batch: int = Field(8, ge=1, le=256, description="Patches of a step.")
    steps: int = Field(20_000, ge=1, description="At most.")
    minutes: PositiveFloat = Field(15.0, description="At most, of training.")
    rate: PositiveFloat = Field(
        2e-3, description="Of learning, falling to a hundredth."
    )
    every: int = Field(100, ge=1, description="Steps between two looks at validation.")
    size: Literal["small", "medium"] = Field(
        "small", description="How wide the network is, and how much a frame costs."
    )
    frames: int = Field(
        1, ge=1, le=16, description="Frames it looks at together, the newest last."
    )
    grid: Literal[1, 2] = Field(
        2,
        description="Pixels of the image for each pixel of the map; two points are "
        "told apart from three pixels of the map on.",
    )
    spread_px: PositiveFloat = Field(
        3.0, description="Standard deviation of the hill on a point, pixels."
    )
    distance_px: PositiveFloat = Field(
        6.0, description="What is found so near to a point is that point, pixels."
    )
    least_noise: PositiveFloat = Field(
        0.01,
        description="What noise is taken for where there is less, deviations of the "
        "frame: lower shows dim things beside very bright ones.",
    )
    most_contrast: PositiveFloat = Field(
        10.0,
        description="What stands out by many more times the noise has no shape any "
        "more: higher for small things of which some are very bright.",
    )
    pixel_size_um: PositiveFloat | None = Field(
        None, description="Edge of a pixel in the specimen, where it is known."
    )

    @staticmethod
    def of(
        frames: int = 1, radius: float | None = None, pixel_size: float | None = None
    ) -> dict[str, Any]:
        """Return what follows from what a user knows.

        Parameters
        ----------
        frames : int
            That it looks at together.
        radius : float, optional
            Usual radius of a thing, pixels: a hill falls to 0.14 there, a find within
            it is right, and small things have a map of full resolution, on which
            very bright ones keep their shape.
        pixel_size : float, optional
            µm.
        """
        made: dict[str, Any] = {"frames": frames, "pixel_size_um": pixel_size}
        if radius is not None:
            made |= {"spread_px": max(1.0, radius / 2), "distance_px": max(2.5, radius)}
            made |= _OF_SMALL if radius < _SMALL_PX else {}
        return made


class TrainSettings(LearnSettings):
    """Of a denoiser."""

    method: Method = Field(
        description="care: from noisy to clean; n2n: from one noisy image to another "
        "of the same; n2v: from a noisy image alone, by pixels it must not look at."
    )
    frames: int = Field(
        1,
        ge=1,
        le=16,
        description="Frames it looks at together; the newest, which is the last, is "
        "restored.",
    )
    width: int = Field(16, ge=4, le=256, description="Channels of the first level.")
    levels: int = Field(2, ge=1, le=4, description="How often sizes are halved.")
    widths: tuple[int, int, int] | None = Field(
        None,
        description="Of a network that begins with the shipped denoiser: its channels, "
        "instead of width and levels.",
    )
    masked: float = Field(
        0.06, gt=0, le=0.2, description="Of n2v: share of the pixels that are hidden."
    )
