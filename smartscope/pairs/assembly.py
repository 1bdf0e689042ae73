"""From the frames of a run to noisy and clean images on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.pairs.bleaching import (
    Bleaching,
    Looked,
    camera_offset,
    look_at,
    measure_bleaching,
)
from smartscope.pairs.folder import MOST_SATURATED, saturated_share
from smartscope.pairs.registration import Shift, shift_between
from smartscope.pairs.survey import Plan
from smartscope.storage import Run

Image = npt.NDArray[Any]
Header = Mapping[str, Any]


@dataclass
class Place:
    """The frames of one place.

    Attributes
    ----------
    name : str
        As the run has it.
    headers : list of Mapping
        Of its frames, in the order of the plan.
    left_out : str
        Why it is not used; ``""`` if it is.
    """

    name: str
    headers: list[Header]
    left_out: str = ""
    looked: list[Looked] = field(default_factory=list)
    shift: Shift | None = None
    saturated: float = 0.0

    @property
    def centre_um(self) -> tuple[float, float]:
        """Where the stage stood."""
        state = self.headers[0]["state"]
        return float(state["x_um"]), float(state["y_um"])

    def of(self, plan: Plan, role: str) -> list[int]:
        """Return which of its frames have a role."""
        return [i for i, r in enumerate(plan.roles) if r == role]


@dataclass(frozen=True)
class Assembled:
    """What the frames of a run are worth as pairs.

    Attributes
    ----------
    places : list of Place
        In the order they were taken.
    bleaching : Bleaching
        Over all of them.
    offset : float or None
        Counts without light, as the pairs tell it.
    """

    places: list[Place]
    bleaching: Bleaching
    offset: float | None

    @property
    def used(self) -> list[Place]:
        """The places that are worth something."""
        return [p for p in self.places if not p.left_out]


def assemble(run: Run, plan: Plan, *, max_shift_px: float) -> Assembled:
    """Look at all frames of a run and decide which places can be used.

    Parameters
    ----------
    run : Run
        As 'smartscope pairs' has recorded it, whole or broken off.
    plan : Plan
        What was taken at each place.
    max_shift_px : float
        Of the clean image against the noisy ones.
    """
    places = [_looked(place, run, plan, max_shift_px) for place in _places(run, plan)]
    seen = {p.name: p.looked for p in places if not p.left_out}
    return Assembled(places, measure_bleaching(seen), camera_offset(seen))


def noisy_of(place: Place, run: Run, plan: Plan) -> Image:
    """Return the noisy frames of a place, raw counts, shape ``(T, Y, X)``."""
    ids = [place.headers[i]["frame_id"] for i in place.of(plan, "low")]
    return np.stack([run.read(i) for i in ids])


def brightness_of(place: Place, plan: Plan, bleaching: Bleaching) -> tuple[float, ...]:
    """Return how bright each noisy frame of a place is beside its first."""
    doses = [place.looked[i].dose for i in place.of(plan, "low")]
    return tuple(bleaching.left(dose - doses[0]) for dose in doses)


def clean_of(
    place: Place, run: Run, plan: Plan, assembled: Assembled
) -> npt.NDArray[np.float32]:
    """Return the clean image in the counts that its first noisy frame would have.

    The mean of the high frames, less the camera's offset, times how bright the first
    noisy frame is beside it, plus the offset. How bright comes from the fit over all
    places: what was bleached between the two is in it.
    """
    reference = _reference(place, run, plan)
    first = place.looked[place.of(plan, "low")[0]]
    bleaching = assembled.bleaching
    start = bleaching.by_place.get(place.name)
    slope = (
        first.slope
        if start is None
        else start * first.light * bleaching.left(first.dose)
    )
    if assembled.offset is None:
        return (slope * reference + first.offset).astype(np.float32)
    offset = assembled.offset
    return (offset + slope * (reference - offset)).astype(np.float32)


def write_image(
    path: Path,
    pixels: Image,
    pixel_size_um: float,
    notes: Mapping[str, Any],
) -> None:
    """Write an OME-Zarr image ``(Y, X)`` or ``(T, Y, X)``.

    Parameters
    ----------
    path : Path
        Of the image; must not exist.
    pixels : np.ndarray
        Its values.
    pixel_size_um : float
        Edge of a pixel.
    notes : Mapping
        Plain values put beside the OME metadata.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    from yaozarrs import DimSpec, v05
    from yaozarrs.write.v05 import write_image as write

    um = "micrometer"
    axes = [DimSpec(name=n, scale=pixel_size_um, unit=um) for n in ("y", "x")]
    if pixels.ndim == 3:
        axes.insert(0, DimSpec(name="t"))
    name = path.name.removesuffix(".ome.zarr")
    image = v05.Image(multiscales=[v05.Multiscale.from_dims(axes, name=name)])
    path.parent.mkdir(parents=True, exist_ok=True)
    write(
        path,
        image,
        np.ascontiguousarray(pixels),
        extra_attributes={"smartscope": dict(notes)},
        writer="tensorstore",
        chunks=(1,) * (pixels.ndim - 2) + pixels.shape[-2:],
    )


def _places(run: Run, plan: Plan) -> list[Place]:
    """Return the places with their frames; of several cameras the first one's."""
    cameras = sorted({str(h["camera"]) for h in run.frames})
    found: dict[str, Place] = {}
    for header in run.frames:
        if header["camera"] == cameras[0]:
            found.setdefault(header["place"], Place(header["place"], []))
            found[header["place"]].headers.append(header)
    for place in found.values():
        if len(place.headers) != len(plan.roles):
            place.left_out = (
                f"{len(place.headers)} of {len(plan.roles)} frames were taken"
            )
    return list(found.values())


def _looked(place: Place, run: Run, plan: Plan, max_shift_px: float) -> Place:
    """Measure what is in the frames of a place."""
    if place.left_out:
        return place
    frames = [run.read(h["frame_id"]) for h in place.headers]
    highs, lows = place.of(plan, "high"), place.of(plan, "low")
    reference = _mean([frames[i] for i in highs or lows])
    dose = 0.0
    for frame, header, role in zip(frames, place.headers, plan.roles, strict=True):
        state = header["state"]
        light = float(state["exposure_ms"] * state["power_percent"])
        place.looked.append(
            look_at(
                frame,
                reference,
                high=role == "high",
                light=light,
                dose=dose + light / 2,
            )
        )
        dose += light
    full = float(2 ** int(place.headers[0]["bit_depth"]) - 1)
    place.saturated = max(saturated_share(frames[i], full) for i in highs or lows)
    if place.saturated > MOST_SATURATED:
        place.left_out = (
            f"saturated: {100 * place.saturated:.2g} % of the pixels are at {full:g}"
        )
    elif any(h["state"].get("moving") for h in place.headers):
        place.left_out = "the stage was still moving"
    elif highs:
        _register(place, [frames[i] for i in lows], reference, max_shift_px)
    return place


def _register(
    place: Place, lows: Sequence[Image], reference: Image, max_shift_px: float
) -> None:
    """See whether the clean image lies on the noisy ones, first and last."""
    shifts = [shift_between(reference, low) for low in (lows[0], lows[-1])]
    known = [shift for shift in shifts if shift.known]
    place.shift = max(known or shifts, key=lambda shift: shift.px)
    if not known:
        place.left_out = "too little is to be seen for a registration"
    elif place.shift.px > max_shift_px:
        place.left_out = (
            f"shifted by {place.shift.px:.2f} pixels, more than {max_shift_px:g}"
        )


def _reference(place: Place, run: Run, plan: Plan) -> npt.NDArray[np.float64]:
    which = place.of(plan, "high") or place.of(plan, "low")
    return _mean([run.read(place.headers[i]["frame_id"]) for i in which])


def _mean(frames: Sequence[Image]) -> npt.NDArray[np.float64]:
    return np.asarray(np.mean(np.stack(frames), axis=0, dtype=np.float64))
