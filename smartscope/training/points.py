"""Images with points, and movies with events, to train and judge a detector with."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.pairs import Split, pixels_sha256
from smartscope.storage import Movie
from smartscope.training.heat_judge import Shown
from smartscope.training.heat_source import Points
from smartscope.training.labelled import part_of, read_labelled
from smartscope.training.settings import HeatSettings

_ENDINGS = (".ome.tiff", ".ome.tif", ".tiff", ".tif")
_LEAST_POINTS = 5
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

_RULE = (
    "Points lie in images/ and points/ (TIFF, and a CSV of the same name with the "
    "columns y and x), or images/ and labels/; events in movies/ and events/ (columns "
    "frame, y and x). Pixels count from 0 at the middle of the first one."
)


@dataclass(frozen=True)
class PointFolder:
    """What a folder holds, parted by the names.

    Attributes
    ----------
    parts : dict
        By part, ``train``, ``validation`` and ``test``, the images.
    kind : {"points", "labels", "events"}
        How the things are told.
    """

    parts: dict[Split, list[Shown]]
    kind: str

    @classmethod
    def read(cls, data: Path, settings: HeatSettings) -> PointFolder:
        """Read a folder, checked and parted by a hash of the names.

        Parameters
        ----------
        data : Path
            With ``images`` and ``points`` or ``labels``, or ``movies`` and ``events``.
        settings : HeatSettings
            Shares of the parts, their seed, and how many frames are looked at.

        Raises
        ------
        smartscope.errors.Refused
            If it is no such folder, files do not pair, cannot be read or are too few,
            points lie outside their image, or an image stands there twice.
        """
        if not data.is_dir():
            raise Refused(
                f"There is no folder {data}.", rule=_RULE, way_out="Check the path."
            )
        if (data / "movies").is_dir():
            return cls(
                _parted(_read(data, "movies", "events", settings), settings), "events"
            )
        if settings.frames > 1:
            raise Refused(
                f"{data} holds no movies/, and {settings.frames} frames are asked for.",
                rule="A detector of few frames learns from movies/ and events/.",
                way_out="Leave --frames out, or give movies.",
            )
        if (data / "points").is_dir():
            return cls(
                _parted(_read(data, "images", "points", settings), settings), "points"
            )
        if not any((data / name).is_dir() for name in ("labels", "label", "masks")):
            raise Refused(
                f"{data} holds neither points/ nor labels/ nor movies/.",
                rule=_RULE,
                way_out="Name the folders so.",
            )
        labelled = read_labelled(data, settings)
        return cls(
            {
                part: [
                    Shown(
                        one.name,
                        one.image[None],
                        _middles(one.labels),
                        (0,),
                        sha256=one.sha256,
                    )
                    for one in images
                ]
                for part, images in labelled.items()
            },
            "labels",
        )

    @property
    def smallest_px(self) -> int:
        """The shortest side of all images."""
        return min(min(i.frames.shape[1:]) for of in self.parts.values() for i in of)


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


def _read(data: Path, images: str, points: str, settings: HeatSettings) -> list[Shown]:
    pictures = _named(data / images, _ENDINGS)
    tables = _named(data / points, (".csv",))
    alone = sorted(pictures.keys() ^ tables.keys())
    if alone or not pictures:
        told = ", ".join(alone[:5]) + (" …" if len(alone) > 5 else "")
        raise Refused(
            f"In {data} {len(alone)} of {images}/ and {points}/ have no partner "
            f"({told})."
            if alone
            else f"{data / images} holds no TIFF.",
            rule=_RULE + " An image without anything has a CSV with the header alone.",
            way_out="Add what is missing, or take away what is alone.",
        )
    moving = points == "events"
    return [
        _checked_one(name, pictures[name], tables[name], settings, moving=moving)
        for name in sorted(pictures)
    ]


def _checked_one(
    name: str, image: Path, table: Path, settings: HeatSettings, *, moving: bool
) -> Shown:
    movie = Movie.open(image)
    if not moving and len(movie) != 1:
        raise Refused(
            f"{image} holds {len(movie)} frames.",
            rule="Of images/ each is one; movies lie in movies/, with events/.",
            way_out="Part it, or name the folders so.",
        )
    if len(movie) < settings.frames or min(movie.shape[1:]) < _LEAST_PX:
        raise Refused(
            f"{image} is too small: {len(movie)} frames of {movie.shape[1]} × "
            f"{movie.shape[2]} pixels.",
            rule=f"At least {settings.frames} of {_LEAST_PX} pixels to a side.",
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
    frames = np.stack([movie.read(t) for t in range(len(movie))])
    return Shown(
        name,
        frames,
        points,
        tuple(range(len(frames))),
        slack=1 if moving else 0,
        sha256=pixels_sha256(frames),
    )


def _parted(
    images: Sequence[Shown], settings: HeatSettings
) -> dict[Split, list[Shown]]:
    first: dict[str, str] = {}
    parts: dict[Split, list[Shown]] = {"train": [], "validation": [], "test": []}
    for one in images:
        other = first.setdefault(one.sha256, one.name)
        if other != one.name:
            raise Refused(
                f"{one.name} and {other} are the same image.",
                rule="What a model is judged on it has never seen.",
                way_out="Take one of them out.",
            )
        shares = (settings.validation, settings.test)
        parts[part_of(one.name, settings.seed, shares)].append(one)
    # with few movies a part may be empty by chance
    for part in ("validation", "test"):
        if not parts[part] and len(parts["train"]) > 1:
            parts[part].append(parts["train"].pop())
    points = sum(len(one.points) for one in parts["train"])
    if not parts["validation"] or points < _LEAST_POINTS:
        raise Refused(
            f"There are too few: {len(images)} images, of which {len(parts['train'])} "
            f"with {points} points are left to train on.",
            rule=f"At least two images; one watches, and {_LEAST_POINTS} points are "
            "learned from.",
            way_out="Add images, or give another --seed.",
        )
    return parts


def _named(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    made: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        ending = next((e for e in endings if path.name.lower().endswith(e)), None)
        if ending is not None and not path.name.startswith("."):
            made[path.name[: -len(ending)]] = path
    return made


def _middles(labels: npt.NDArray[Any]) -> Points:
    from scipy import ndimage

    numbers = np.unique(labels[labels > 0])
    middles = ndimage.center_of_mass(labels > 0, labels, numbers)
    at = np.array(middles, np.float64).reshape(-1, 2)
    return np.column_stack([np.zeros(len(at)), at])
