"""Dark and flat field of a camera: the files read, checked and made even.

What is done with them stands in inference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused, nearest
from smartscope.inference import Corrections
from smartscope.storage import Movie

Field = npt.NDArray[np.float64]
Kind = np.dtype[np.generic]

DARK = "dark"


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What a camera's frames are corrected by, and where it came from.

    Attributes
    ----------
    corrections : Corrections
        Dark in counts, flats of mean 1.
    sources : dict of str to Path
        The file of ``dark`` and of each flat by its channel; ``""`` is every other.
    """

    corrections: Corrections
    sources: dict[str, Path]

    def notices(self, channels: Sequence[str]) -> list[str]:
        """Return which of some channels have no flat field though others have one."""
        flats = self.corrections.flats
        bare = [c for c in channels if c and self.corrections.flat(c) is None]
        if not flats or not bare:
            return []
        return [
            f"There is a flat field of {', '.join(flats)} and none of "
            f"{', '.join(bare)}: these frames are not flattened."
        ]

    @classmethod
    def read(
        cls,
        dark: Path | None,
        flat: Path | Mapping[str, Path] | None,
        *,
        base: Path,
        shape: tuple[int, int],
        channels: Sequence[str],
    ) -> Calibration | None:
        """Read the files that a microscope names; None if it names none.

        Of a file of several frames the mean is taken. A flat field of whole numbers is
        a picture in counts: the dark field is subtracted from it. One of floating point
        is taken as it is. Both are then divided by their mean.

        Parameters
        ----------
        dark : Path or None
            The camera without light.
        flat : Path, Mapping or None
            An even specimen: one for all, or by channel.
        base : Path
            What relative paths are relative to.
        shape : tuple of int
            Rows and columns of the camera's frames now.
        channels : Sequence of str
            Names that flats may have: presets and cameras.

        Raises
        ------
        smartscope.errors.Refused
            If a file cannot be read, has another shape, or is not above zero.
        """
        if dark is None and not flat:
            return None
        sources: dict[str, Path] = {}
        black: Field | None = None
        if dark is not None:
            sources[DARK] = base / dark
            black, _ = _picture(sources[DARK], "camera.dark", shape)
        flats: dict[str, npt.NDArray[np.float32]] = {}
        named = flat if isinstance(flat, Mapping) else {"": flat} if flat else {}
        for channel, path in named.items():
            where = f"camera.flat{f'.{channel}' if channel else ''}"
            if channel and channel not in channels:
                raise Refused(
                    f"{where}: there is no channel '{channel}'."
                    f"{nearest(channel, channels)}",
                    rule=f"Flat fields are of presets: {', '.join(channels)}.",
                    way_out="Correct the name in the microscope's file.",
                )
            sources[f"flat {channel}".strip()] = base / path
            flats[channel] = _even(base / path, where, shape, black)
        return cls(
            Corrections(None if black is None else black.astype(np.float32), flats),
            sources,
        )


def _even(
    path: Path, where: str, shape: tuple[int, int], black: Field | None
) -> npt.NDArray[np.float32]:
    """Return a flat field of mean 1."""
    field, kind = _picture(path, where, shape)
    counts = kind.kind in "iu"
    if counts and black is not None:
        field = field - black
    low = int((field <= 0).sum())
    if low:
        above = "the dark field" if counts and black is not None else "zero"
        raise Refused(
            f"{where}: {low} pixels of {path} are not above {above}.",
            rule="Frames are divided by the flat field, so all of it is bright. One of "
            "whole numbers is in counts, and the dark field is subtracted from it; "
            "one of floating point is taken as it is.",
            way_out="Take it again with more light, or mend its dead pixels.",
        )
    even: npt.NDArray[np.float32] = (field / field.mean()).astype(np.float32)
    return even


def _picture(path: Path, where: str, shape: tuple[int, int]) -> tuple[Field, Kind]:
    """Return the mean of a file's frames and what they are of."""
    if not path.exists():
        raise Refused(
            f"{where}: there is no file {path}.",
            rule="Its path is relative to the microscope's file.",
            way_out="Correct the path, or remove the line.",
        )
    try:
        movie = Movie.open(path)
        # one after the other: a long series would not fit into memory
        total: Field = np.zeros(movie.shape[1:])
        for number in range(len(movie)):
            total += movie.read(number)
    except Refused as e:
        raise Refused(
            f"{where}: {path} cannot be taken: {e.what}",
            rule="A dark or flat field is a grey picture, or several, as TIFF, "
            "OME-TIFF or OME-Zarr; all its values are finite.",
            way_out="Save it again with Fiji as a grey TIFF.",
        ) from e
    if total.shape != shape:
        have, want = (" x ".join(map(str, s)) for s in (total.shape, shape))
        raise Refused(
            f"{where}: {path} has {have} pixels, and the camera gives {want}.",
            rule="Dark and flat field are taken like the frames: whole, with the same "
            "binning.",
            way_out="Take it again as the camera is set now, or set the camera as it "
            "was then.",
        )
    return total / len(movie), movie.dtype
