"""Settings of the simulated specimen and microscope."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt

Edge = Annotated[int, Field(ge=1, le=16_384)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SpecimenSettings(_Settings):
    """What lies under the simulated microscope: living cells, or a recorded movie.

    ``specimen`` in an experiment replaces that of the microscope, field by field.
    """

    time: Literal["real", "virtual"] = Field(
        "real",
        description="Wall clock × time_scale, or sum of exposures and waits.",
    )
    time_scale: PositiveFloat = Field(
        1.0, description="Seconds of specimen time in a second of wall time ('real')."
    )
    # cells
    cells: PositiveInt = Field(
        120, le=100_000, description="Number of cells at the start."
    )
    area_um: tuple[PositiveFloat, PositiveFloat] = Field(
        (1000.0, 1000.0), description="Width and height of the region with cells."
    )
    radius_um: PositiveFloat = Field(6.0, description="Of an interphase nucleus.")
    speed_um_per_min: float = Field(0.3, ge=0, description="Of a wandering cell.")
    divisions_per_hour: float = Field(
        0.4, ge=0, description="Mean divisions of one cell in an hour."
    )
    mitosis_s: PositiveFloat = Field(
        900.0, description="From rounding up to anaphase onset."
    )
    photons: PositiveFloat = Field(
        40.0, description="Of an interphase nucleus per pixel and ms at 100 % power."
    )
    background_photons: float = Field(
        4.0, ge=0, description="Per pixel and ms at 100 %."
    )
    bleach_ms_percent: PositiveFloat | None = Field(
        3e6, description="Light after which 1/e of the fluorescence is left."
    )
    duration_s: PositiveFloat = Field(
        4 * 3600.0, description="How far ahead the life of the cells is drawn."
    )
    # a movie instead
    movie: Path | dict[str, Path] | None = Field(
        None, description="TIFF, OME-TIFF or OME-Zarr; or one per channel preset."
    )
    pixel_size_um: PositiveFloat | None = Field(None, description="Of the movie.")
    frame_interval_s: PositiveFloat | None = Field(None, description="Of the movie.")
    photons_at_full_scale: PositiveFloat = Field(
        2000.0,
        description="Photons of the movie's brightest pixel at 100 ms, 100 %.",
    )
    truth: Path | None = Field(
        None, description="What happened in it: JSON, or CSV with t, x, y, type."
    )
    truth_map: dict[str, str] = Field(
        default_factory=dict,
        description="From the truth's types to names of occurrences.",
    )
    tolerance_frames: float | None = Field(
        None, ge=0, description="Default: what the truth file says, or 1."
    )
    tolerance_um: PositiveFloat | None = Field(
        None, description="Default: what the truth file says, or 10 µm."
    )
    tolerance_s: PositiveFloat | None = Field(
        None, description="Of simulated cells; default 300 s."
    )


class SensorSettings(_Settings):
    """A camera: counts = gain · Poisson(photons) + N(offset, read noise)."""

    shape: tuple[Edge, Edge] = Field((512, 512), description="Rows, columns.")
    gain: PositiveFloat = Field(0.5, description="Counts per photo-electron.")
    offset: float = Field(100.0, ge=0, description="Counts.")
    read_noise: float = Field(1.6, ge=0, description="Counts, s.d.")
    bit_depth: int = Field(16, ge=8, le=16)
    pixel_um: PositiveFloat = Field(6.5, description="Edge of a physical pixel.")
    stamp: bool = Field(
        False, description="Write what the devices did into corner pixels, for tests."
    )


class OpticsSettings(_Settings):
    """Point spread, defocus, vignetting."""

    psf_sigma_um: float = Field(0.35, ge=0)
    defocus_um: PositiveFloat = Field(
        3.0, description="Defocus at which the blur is √2 of that in focus."
    )
    vignetting: float = Field(0.15, ge=0, lt=1, description="Loss in the corners.")
    orientation: tuple[tuple[float, float], tuple[float, float]] = Field(
        ((1.0, 0.0), (0.0, 1.0)), description="From (column, row) to stage (x, y)."
    )


class UglinessSettings(_Settings):
    """What real stands do and data sheets do not say."""

    stage_speed_um_per_s: PositiveFloat = 5000.0
    settle_ms: float = Field(10.0, ge=0)
    backlash_um: float = Field(0.0, ge=0)
    z_speed_um_per_s: PositiveFloat = 500.0
    focus_drift_um_per_h: float = 0.0
    shutter_ms: float = Field(0.0, ge=0)
    filter_ms: float = Field(0.0, ge=0)
    rearm_ms: float = Field(0.0, ge=0, description="Of the camera, before a sequence.")
    readout_ms: float = Field(0.0, ge=0, description="Added to each frame period.")
    flicker: float = Field(0.0, ge=0, lt=1, description="Relative s.d. of the light.")


class SimulationSettings(_Settings):
    """The simulated microscope, as ``[simulation]`` in its file."""

    seed: int = 0
    specimen: SpecimenSettings = SpecimenSettings()
    sensor: SensorSettings = SensorSettings()
    optics: OpticsSettings = OpticsSettings()
    ugliness: UglinessSettings = UglinessSettings()
    movie_sensor: bool = Field(
        True, description="With a movie, the sensor takes the movie's size."
    )
