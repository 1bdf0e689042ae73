"""Settings of the simulated specimen and microscope."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
)

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
    crossing: bool = Field(
        False,
        description="Cells pass over each other instead of making room.",
    )
    divisions_per_hour: float = Field(
        0.4, ge=0, description="Mean divisions of one cell in an hour."
    )
    mitosis_s: PositiveFloat = Field(
        900.0, description="From rounding up to anaphase onset."
    )
    flashes_per_hour: float = Field(
        0.0, ge=0, description="Mean flashes of one cell in an hour."
    )
    flash_factor: float = Field(
        4.0, gt=1, description="Brightness of a cell at the peak of its flash."
    )
    flash_s: PositiveFloat = Field(
        5.0,
        description="From the beginning of a flash until 5 % of it are left: a tenth "
        "of it to rise, the rest to decay.",
    )
    deaths_per_hour: float = Field(
        0.0, ge=0, description="Mean deaths of one cell in an hour."
    )
    death_s: PositiveFloat = Field(
        1800.0, description="From the first shrinking until it is gone."
    )
    arrivals_per_hour: float = Field(
        0.0, ge=0, description="Cells that land in the whole area in an hour."
    )
    departures_per_hour: float = Field(
        0.0, ge=0, description="Mean departures of one cell in an hour."
    )
    landing_s: PositiveFloat = Field(
        60.0, description="A cell that lands or lifts off comes into view so slowly."
    )
    stimulation_response: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the cells that answer to light through a pattern: they "
        "flash once.",
    )
    stimulation_dose_ms_percent: PositiveFloat = Field(
        20_000.0, description="Light that they need for it, mean over the nucleus."
    )
    stimulation_delay_s: float = Field(
        5.0, ge=0, description="From the light that was enough to the flash."
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
    tolerance_s: PositiveFloat | dict[str, PositiveFloat] | None = Field(
        None,
        description="Of simulated cells: one for all kinds of events, or by kind. "
        "Default: flash_s for a flash or response, death_s for a death, 300 s for "
        "the others.",
    )


class SensorSettings(_Settings):
    """A camera: counts = gain · Poisson(photons) + N(offset, read noise)."""

    shape: tuple[Edge, Edge] = Field((512, 512), description="Rows, columns.")
    gain: PositiveFloat = Field(0.5, description="Counts per photo-electron.")
    offset: float = Field(100.0, ge=0, description="Counts.")
    read_noise: float = Field(1.6, ge=0, description="Counts, s.d.")
    bit_depth: int = Field(16, ge=8, le=16)
    pixel_um: PositiveFloat = Field(6.5, description="Edge of a physical pixel.")
    offset_pattern: float = Field(
        0.0,
        ge=0,
        description="Counts, s.d. of a fixed pattern in the offset: half of its "
        "variance is that of columns.",
    )
    hot_pixels: float = Field(
        0.0, ge=0, le=0.1, description="Share of the pixels that are hot."
    )
    hot_electrons_per_s: PositiveFloat = Field(
        500.0, description="Dark current of a hot pixel, mean of an exponential."
    )
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

    # the stage
    stage_speed_um_per_s: PositiveFloat = 5000.0
    settle_ms: float = Field(
        10.0, ge=0, description="The stage waits so long before it says it is there."
    )
    creep_um: float = Field(
        0.0,
        ge=0,
        description="How far the stage is from its place when it says it is there; "
        "after a move shorter than ten times this, a tenth of the move.",
    )
    creep_ms: PositiveFloat = Field(
        50.0, description="After this time 1/e of the creep is left."
    )
    backlash_um: float | tuple[float, float] = Field(
        0.0,
        description="Play of the drive, of both axes or of x and y: after a reversal "
        "the stage stops short by so much.",
    )
    encoder: bool = Field(
        True,
        description="The stage measures where it is, backlash included; without it "
        "the stage says where it was sent.",
    )
    drift_um_per_h: float = Field(
        0.0, ge=0, description="The specimen's, over a stage that does not know it."
    )
    drift_direction_deg: float = Field(
        0.0, description="Where what is seen drifts to on the stage: from x toward y."
    )
    # the focus
    z_speed_um_per_s: PositiveFloat = 500.0
    focus_drift_um_per_h: float = Field(
        0.0, description="Of the specimen's plane, upward."
    )
    tilt_um_per_mm: tuple[float, float] = Field(
        (0.0, 0.0), description="Of the specimen's plane, along x and y."
    )
    # light and camera
    slm_offset_um: tuple[float, float] = Field(
        (0.0, 0.0),
        description="How far off its place, along x and y, the light modulator's "
        "pattern falls on the specimen.",
    )
    shutter_ms: float = Field(0.0, ge=0, description="To open and to close.")
    filter_ms: float = Field(0.0, ge=0, description="Of a wheel, to turn.")
    turret_ms: float | None = Field(
        None, ge=0, description="Of the objectives, to turn; default: as a wheel."
    )
    rearm_ms: float = Field(0.0, ge=0, description="Of the camera, before a sequence.")
    readout_ms: float = Field(0.0, ge=0, description="Added to each frame period.")
    flicker: float = Field(0.0, ge=0, lt=1, description="Relative s.d. of the light.")
    flicker_correlation: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Of a frame's flicker with that of the frame before.",
    )
    lamp_drift_percent_per_h: float = Field(
        0.0, description="Of the light at the start; the light ends at 0."
    )

    @field_validator("backlash_um")
    @classmethod
    def _not_below_zero(cls, value: Any) -> Any:
        if min(value if isinstance(value, tuple) else (value,)) < 0:
            raise ValueError("must not be below 0")
        return value


Span = tuple[float, float]


class AreaSettings(_Settings):
    """A box on the stage."""

    x_um: Span = Field(description="From, to.")
    y_um: Span = Field(description="From, to.")

    @field_validator("x_um", "y_um")
    @classmethod
    def _rises(cls, value: Span) -> Span:
        if value[0] >= value[1]:
            raise ValueError(f"must rise, got {list(value)}")
        return value

    def holds(self, x_um: float, y_um: float) -> bool:
        """Return whether a point of the stage lies in it, its edge included."""
        (left, right), (low, high) = self.x_um, self.y_um
        return left <= x_um <= right and low <= y_um <= high


class AutofocusSettings(_Settings):
    """A hardware autofocus: it follows a reflection of the dish, not the image."""

    present: bool = Field(False, description="Whether there is one.")
    on: bool = Field(True, description="Whether it is on from the start.")
    lock_ms: float = Field(
        200.0, ge=0, description="To lock, after each move of the stage."
    )
    error_um: float = Field(
        0.1, ge=0, description="How well it finds the plane, s.d., anew at each lock."
    )
    lost_in: dict[str, AreaSettings] = Field(
        default_factory=dict, description="Named areas in which it cannot lock."
    )
    lost_from_s: float = Field(
        0.0, ge=0, description="From when on it cannot lock there, on the run's clock."
    )
    lost_um: float = Field(
        8.0, description="How far off the focus stays where it cannot lock."
    )


class SlmDeviceSettings(_Settings):
    """A light modulator in a light path of its own."""

    present: bool = Field(False, description="Whether there is one.")
    shape: tuple[Edge, Edge] = Field((600, 800), description="Rows, columns.")
    affine: tuple[tuple[float, float, float], tuple[float, float, float]] | None = (
        Field(
            None,
            description="2×3, from camera (column, row) to its own; default: what "
            "[slm] of the microscope's file says.",
        )
    )


class ObjectiveTruth(_Settings):
    """How an objective really differs from the one at the start."""

    parfocal_um: float = Field(
        0.0, description="How far the focus drive goes to be in focus with it."
    )
    parcentric_um: tuple[float, float] = Field(
        (0.0, 0.0),
        description="How far the stage goes to have the same point in the middle.",
    )


class SimulationSettings(_Settings):
    """The simulated microscope, as ``[simulation]`` in its file."""

    seed: int = 0
    specimen: SpecimenSettings = SpecimenSettings()
    sensor: SensorSettings = SensorSettings()
    optics: OpticsSettings = OpticsSettings()
    ugliness: UglinessSettings = UglinessSettings()
    autofocus: AutofocusSettings = AutofocusSettings()
    slm: SlmDeviceSettings = SlmDeviceSettings()
    objectives: dict[str, ObjectiveTruth] = Field(
        default_factory=dict,
        description="By label, how objectives really differ; what the microscope's "
        "file says of them may be a little wrong.",
    )
    movie_sensor: bool = Field(
        True, description="With a movie, the sensor takes the movie's size."
    )
