"""How the camera sees a light modulator: spots projected, found and fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pymmcore_plus import DeviceType

from smartscope.errors import Refused, nearest

if TYPE_CHECKING:
    from smartscope.microscope.scope import Microscope

Affine = tuple[tuple[float, float, float], tuple[float, float, float]]
Image = npt.NDArray[np.float64]

LEAST_SPOTS = 4
# of the light of the whole modulator: what is brighter belongs to the spot
_HALF = 0.5
# a pixel tells nothing where the whole modulator is not this many s.d. above the dark
_ABOVE_NOISE = 5.0
_FEWEST_PIXELS = 9
_MOST_SATURATED = 0.01


@dataclass(frozen=True, slots=True)
class SlmCalibration:
    """What was measured.

    Attributes
    ----------
    device : str
        The modulator.
    affine : tuple
        2×3, from camera (column, row) of the whole, unbinned chip to its (column, row).
    intensity : int
        Value of a pixel that was on.
    found, projected : int
        Spots.
    residual_px : float
        Root mean square of what the fit leaves, in pixels of the modulator.
    largest_px : float
        The largest one.
    """

    device: str
    affine: Affine
    intensity: int
    found: int
    projected: int
    residual_px: float
    largest_px: float

    def lines(self) -> list[str]:
        """Return what to paste into the microscope's file."""
        rows = ", ".join(
            "[" + ", ".join(f"{value:.6g}" for value in row) + "]"
            for row in self.affine
        )
        return [
            "[slm]",
            f'device = "{self.device}"',
            f"affine = [{rows}]",
            f"intensity = {self.intensity}",
        ]

    def to_record(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "device": self.device,
            "affine": [list(row) for row in self.affine],
            "intensity": self.intensity,
            "found": self.found,
            "projected": self.projected,
            "residual_px": round(self.residual_px, 3),
            "largest_px": round(self.largest_px, 3),
            "lines": self.lines(),
        }


def calibrate_slm(
    scope: Microscope,
    *,
    channel: str,
    exposure_ms: float,
    device: str | None = None,
    grid: int = 5,
    radius_px: float | None = None,
    intensity: int = 255,
) -> SlmCalibration:
    """Project spots one by one, find them in the camera, and fit the affine map.

    Nothing moves. Under the objective lies something that shows the light, best an even
    fluorescent layer: each picture is divided by one with all of the modulator on, so
    that structure matters little. At the end the modulator is dark.

    Parameters
    ----------
    scope : Microscope
        Open.
    channel : str
        Preset that opens the modulator's light path.
    exposure_ms : float
        Of each picture.
    device : str, optional
        The modulator; default: that of the microscope's file, or the core's.
    grid : int
        Spots along each of its axes.
    radius_px : float, optional
        Of a spot; default: a fortieth of its shorter side.
    intensity : int
        Value of a pixel that is on.

    Raises
    ------
    smartscope.errors.Refused
        If there is no modulator or preset, if the picture is saturated, or if fewer
        than 4 spots are found, or all in a row.
    """
    core = scope.core
    label = _device(scope, device)
    presets = [str(p) for p in core.getAvailableConfigs(scope.channel_group)]
    if channel not in presets:
        raise Refused(
            f"'{scope.name}' has no preset '{channel}'.{nearest(channel, presets)}",
            rule=f"The presets of '{scope.channel_group}' are: {', '.join(presets)}.",
            way_out="Name the one that opens the modulator's light path.",
        )
    shape = (int(core.getSLMHeight(label)), int(core.getSLMWidth(label)))
    radius = radius_px or max(2.0, min(shape) / 40)

    def picture(mask: npt.NDArray[np.uint8]) -> Image:
        core.setSLMImage(label, mask)
        core.displaySLMImage(label)
        core.snapImage()
        return np.asarray(core.getImage(), np.float64)

    try:
        core.setConfig(scope.channel_group, channel)
        core.setExposure(exposure_ms)
        core.waitForSystem()
        dark = picture(np.zeros(shape, np.uint8))
        whole = picture(np.full(shape, intensity, np.uint8))
        full = 2 ** int(core.getImageBitDepth()) - 1
        if (whole >= full).mean() > _MOST_SATURATED:
            raise Refused(
                f"With all of '{label}' on, {(whole >= full).mean():.0%} of the pixels "
                "are saturated.",
                rule="Pictures are divided by that one.",
                way_out="Give a shorter exposure.",
            )
        pairs = []
        spots = list(_spots(shape, grid))
        for at in spots:
            found = _found(picture(_disc(shape, at, radius, intensity)), dark, whole)
            if found is not None:
                pairs.append((found, at))
    finally:
        core.setSLMPixelsTo(label, 0)
        core.displaySLMImage(label)
    if len(pairs) < LEAST_SPOTS:
        raise Refused(
            f"{len(pairs)} of {len(spots)} spots were found in the camera.",
            rule=f"At least {LEAST_SPOTS} are needed for an affine map.",
            way_out="Put something even that shows the light under the objective, in "
            "focus; give a longer exposure, or larger spots; check that "
            f"'{channel}' opens the modulator's light path.",
        )
    return _fitted(
        label,
        intensity,
        len(spots),
        _unbinned(scope, np.array([seen for seen, _ in pairs])),
        np.array([at for _, at in pairs]),
    )


def _device(scope: Microscope, device: str | None) -> str:
    core, slm = scope.core, scope.settings.slm
    label = device or (slm.device if slm is not None else str(core.getSLMDevice()))
    known = [str(d) for d in core.getLoadedDevicesOfType(DeviceType.SLM)]
    if label not in known:
        raise Refused(
            f"'{scope.name}' has no light modulator"
            f"{f' {label!r}' if label else ''}.{nearest(label, known)}",
            rule=f"It has: {', '.join(known) or 'none'}.",
            way_out="Load one in the microscope's configuration, or name it.",
        )
    return label


def _spots(shape: tuple[int, int], grid: int) -> list[tuple[float, float]]:
    """Return columns and rows of the spots, away from the edge."""
    rows, columns = ((np.arange(grid) + 0.5) / grid * n - 0.5 for n in shape)
    return [(float(column), float(row)) for row in rows for column in columns]


def _disc(
    shape: tuple[int, int], at: tuple[float, float], radius: float, intensity: int
) -> npt.NDArray[np.uint8]:
    rows, columns = np.indices(shape)
    inside = np.hypot(columns - at[0], rows - at[1]) <= radius
    return np.where(inside, intensity, 0).astype(np.uint8)


def _found(spot: Image, dark: Image, whole: Image) -> tuple[float, float] | None:
    """Return column and row of the middle of a spot; None if it is not wholly seen."""
    from scipy import ndimage

    # over 3 × 3 pixels: single ones are noisy, and so are the edges of the spot
    lit, all_lit = (ndimage.uniform_filter(p - dark, 3) for p in (spot, whole))
    noise = 1.4826 * float(np.median(np.abs(dark - np.median(dark)))) or 1.0
    told = all_lit > _ABOVE_NOISE * noise
    share = np.where(told, lit / np.where(told, all_lit, 1.0), 0.0)
    parts, n = ndimage.label(share > _HALF)
    if n == 0:
        return None
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    largest = int(sizes.argmax())
    rows, columns = np.nonzero(parts == largest)
    cut = (
        rows.min() == 0
        or columns.min() == 0
        or rows.max() == spot.shape[0] - 1
        or columns.max() == spot.shape[1] - 1
    )
    if cut or sizes[largest] < _FEWEST_PIXELS:
        return None
    return float(columns.mean()), float(rows.mean())


def _unbinned(scope: Microscope, pixels: npt.NDArray[np.float64]) -> Any:
    """Return (column, row) on the whole, unbinned chip."""
    core = scope.core
    binning = int(core.getProperty(core.getCameraDevice(), "Binning") or 1)
    x, y, _, _ = core.getROI()
    return (pixels + (x, y) + 0.5) * binning - 0.5


def _fitted(
    label: str,
    intensity: int,
    projected: int,
    camera: npt.NDArray[np.float64],
    modulator: npt.NDArray[np.float64],
) -> SlmCalibration:
    """Fit the affine map by least squares."""
    inputs = np.column_stack([camera, np.ones(len(camera))])
    solved, _, rank, _ = np.linalg.lstsq(inputs, modulator, rcond=None)
    if rank < 3:
        raise Refused(
            f"All {len(camera)} spots that were found lie in a row.",
            rule="An affine map is fitted to points that span a plane.",
            way_out="Let the camera see more of the modulator.",
        )
    off = np.linalg.norm(inputs @ solved - modulator, axis=1)
    (a, b, c), (d, e, f) = solved.T.tolist()
    return SlmCalibration(
        device=label,
        affine=((a, b, c), (d, e, f)),
        intensity=intensity,
        found=len(camera),
        projected=projected,
        residual_px=float(np.sqrt((off**2).mean())),
        largest_px=float(off.max()),
    )
