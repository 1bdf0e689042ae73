"""Images with points, and movies with events, read and checked."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.pairs.example import check_different, pixels_sha256
from smartscope.pairs.naming import by_stem
from smartscope.storage import Movie

Points = npt.NDArray[np.float64]
Kind = Literal["points", "events"]

_LEAST_PX = 32
_COLUMNS: dict[int, tuple[tuple[str, ...], ...]] = {
    2: (("y", "x"), ("row", "column"), ("rows", "columns"), ("axis-0", "axis-1")),
    3: (
        ("frame", "y", "x"),
        ("t", "y", "x"),
        ("frame", "row", "column"),
        ("axis-0", "axis-1", "axis-2"),
    ),
}
"""By how many they are, what the columns of a CSV are called."""


POINTED_RULE = (
    "Points lie in images/ and points/ (TIFF or OME-Zarr, and a CSV of the same name "
    "with the columns y and x), or images/ and labels/; events in movies/ and events/ "
    "(columns frame, y and x). Pixels count from 0 at the middle of the first one."
)


@dataclass(frozen=True, eq=False)
class Pointed:
    """An image or a movie, and what is to be found in it.

    Attributes
    ----------
    name : str
        Of it.
    frames : np.ndarray
        ``(T, Y, X)``, counts; an image is one frame.
    points : np.ndarray
        ``(n, 3)`` float64: frame, row, column.
    looked : tuple of int
        Frames that are looked at, each as the newest of a window.
    slack : int
        An event may be found so many frames too early or too late.
    sha256 : str
        Of the frames; "" where they were drawn.
    """

    name: str
    frames: npt.NDArray[Any]
    points: Points
    looked: tuple[int, ...]
    slack: int = 0
    sha256: str = ""


def pointed_kind(data: Path) -> Kind | None:
    """Return how the things of a folder are told; None if it holds no such points."""
    if (data / "movies").is_dir():
        return "events"
    return "points" if (data / "points").is_dir() else None


def read_pointed(data: Path, frames: int = 1) -> list[Pointed]:
    """Read a folder of images and points, or of movies and events, checked.

    Parameters
    ----------
    data : Path
        With ``images`` and ``points``, or ``movies`` and ``events``.
    frames : int
        That are looked at together: no movie has fewer.

    Raises
    ------
    smartscope.errors.Refused
        If files do not pair or cannot be read, points lie outside their image, or an
        image stands there twice.
    """
    if pointed_kind(data) == "events":
        images = _read(data, "movies", "events", frames)
    else:
        images = _read(data, "images", "points", frames)
    check_different(images)
    return images


def read_points(path: Path, columns: int) -> Points:
    """Return the points of a CSV with a header, as napari and others write it.

    Parameters
    ----------
    path : Path
        Further columns are not looked at.
    columns : int
        2: rows and columns (``y``, ``x``); 3: the frame before them (``frame``).

    Returns
    -------
    np.ndarray
        ``(n, columns)`` float64.

    Raises
    ------
    smartscope.errors.Refused
        If it cannot be read so.
    """
    rule = f"It has a header with {' and '.join(_COLUMNS[columns][0])}, then numbers."
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file, skipinitialspace=True)
            held = [name.strip().lower() for name in lines.fieldnames or ()]
            lines.fieldnames = held
            named = next((n for n in _COLUMNS[columns] if set(n) <= set(held)), None)
            if named is None:
                raise Refused(
                    f"The columns of {path} are {', '.join(held) or 'none'}.",
                    rule=rule,
                    way_out="Name them so.",
                )
            made = []
            for number, line in enumerate(lines, start=2):
                try:
                    made.append([float(line[name]) for name in named])
                except (TypeError, ValueError) as e:
                    raise Refused(
                        f"Line {number} of {path} is no point: {dict(line)}.",
                        rule=rule,
                        way_out="Correct it.",
                    ) from e
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise Refused(
            f"{path} cannot be read: {e}.", rule=rule, way_out="Write it anew."
        ) from e
    return np.array(made, np.float64).reshape(-1, columns)


def _read(data: Path, images: str, points: str, frames: int) -> list[Pointed]:
    pictures = by_stem(data / images)
    tables = by_stem(data / points, (".csv",))
    alone = sorted(pictures.keys() ^ tables.keys())
    if alone or not pictures:
        told = ", ".join(alone[:5]) + (" …" if len(alone) > 5 else "")
        raise Refused(
            f"In {data} {len(alone)} of {images}/ and {points}/ have no partner "
            f"({told})."
            if alone
            else f"{data / images} holds no images.",
            rule=POINTED_RULE
            + " An image without anything has a CSV with the header alone.",
            way_out="Add what is missing, or take away what is alone.",
        )
    moving = points == "events"
    return [
        _checked_one(name, pictures[name], tables[name], frames, moving=moving)
        for name in sorted(pictures)
    ]


def _checked_one(
    name: str, image: Path, table: Path, frames: int, *, moving: bool
) -> Pointed:
    movie = Movie.open(image)
    if not moving and len(movie) != 1:
        raise Refused(
            f"{image} holds {len(movie)} frames.",
            rule="Of images/ each is one; movies lie in movies/, with events/.",
            way_out="Part it, or name the folders so.",
        )
    if len(movie) < frames or min(movie.shape[1:]) < _LEAST_PX:
        raise Refused(
            f"{image} is too small: {len(movie)} frames of {movie.shape[1]} × "
            f"{movie.shape[2]} pixels.",
            rule=f"At least {frames} of {_LEAST_PX} pixels to a side.",
            way_out="Take it out, or set fewer --frames.",
        )
    points = read_points(table, 3 if moving else 2)
    if not moving:
        points = np.column_stack([np.zeros(len(points)), points])
    last = np.asarray(movie.shape) - 0.5
    outside = ~((points >= -0.5) & (points < last)).all(axis=1)
    if outside.any():
        first = points[outside][0, 0 if moving else 1 :]
        raise Refused(
            f"{int(outside.sum())} points of {table} lie outside of {image.name}: "
            f"{', '.join(f'{v:g}' for v in first)} is the first.",
            rule="Rows and columns are pixels from 0 on, rows first"
            + ("; frames count from 0." if moving else "."),
            way_out="Exchange y and x, take µm for pixels, or count from 0.",
        )
    pixels = np.stack([movie.read(t) for t in range(len(movie))])
    return Pointed(
        name,
        pixels,
        points,
        tuple(range(len(pixels))),
        slack=1 if moving else 0,
        sha256=pixels_sha256(pixels),
    )
