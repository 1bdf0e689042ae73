"""Recorded movies: one reader for movie specimens and for what runs recorded.

It knows the formats (TIFF, OME-TIFF, OME-Zarr 0.4 and 0.5, a run folder) and nothing of
what the movie is used for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused

_RULE = "A movie is a TIFF, an OME-TIFF or an OME-Zarr image with the axes T, Y, X."


def read_movie(path: str | Path) -> npt.NDArray[Any]:
    """Read a movie of one channel.

    Parameters
    ----------
    path : str or Path
        A TIFF or OME-TIFF; an OME-Zarr image; a collection or a run folder with one
        survey image; or an image in a collection (``RUN/raw.ome.zarr/survey_p0``).

    Returns
    -------
    np.ndarray
        Shape ``(T, Y, X)``, dtype as recorded. A single image becomes one frame.

    Raises
    ------
    smartscope.errors.Refused
        If there is nothing, it cannot be read, or it is no movie of one channel.
    """
    path = Path(path)
    if not path.exists():
        raise Refused(
            f"There is no movie at {path}.", rule=_RULE, way_out="Check the path."
        )
    pixels, axes = _read_zarr(path) if path.is_dir() else _read_tiff(path)
    return _as_tyx(pixels, axes, path)


def _refused(path: Path, why: str, way_out: str = "") -> Refused:
    return Refused(
        f"The movie {path} cannot be read: {why}.", rule=_RULE, way_out=way_out
    )


def _as_tyx(pixels: npt.NDArray[Any], axes: str, path: Path) -> npt.NDArray[Any]:
    if not axes.endswith("YX") or pixels.dtype.kind not in "uif":
        raise _refused(
            path,
            f"it holds {pixels.dtype} with the axes {axes} {pixels.shape}",
            "Export it as grey values.",
        )
    long = [n for n in range(pixels.ndim - 2) if pixels.shape[n] > 1]
    if len(long) > 1 or any(axes[n] in "CS" for n in long):
        raise _refused(
            path,
            f"beside Y, X it has the axes {axes[:-2]} of {pixels.shape[:-2]}",
            "Give each channel and each plane as a movie of its own.",
        )
    pixels = pixels.reshape(-1, *pixels.shape[-2:])
    if pixels.size == 0:
        raise _refused(path, "it is empty")
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise _refused(path, "it holds values that are not finite")
    return pixels


def _read_tiff(path: Path) -> tuple[npt.NDArray[Any], str]:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            series = tiff.series[0]
            return np.asarray(series.asarray()), str(series.axes)
    # tifffile raises what its codecs and struct raise; all mean: not this file
    except Exception as e:
        raise _refused(path, f"{e} ({type(e).__name__})") from e


def _read_zarr(path: Path) -> tuple[npt.NDArray[Any], str]:
    if (path / "raw.ome.zarr").is_dir():
        path = path / "raw.ome.zarr"
    ome = _attributes(path)
    if "multiscales" not in ome:
        path = _only_survey(path)
        ome = _attributes(path)
    try:
        scale = ome["multiscales"][0]
        axes = "".join(a["name"] for a in scale["axes"]).upper()
        array = path / scale["datasets"][0]["path"]
    except (KeyError, IndexError, TypeError) as e:
        raise _refused(path, f"its OME metadata lack {e}") from e
    pixels = _read_array(array, path)
    if pixels.ndim != len(axes):
        raise _refused(path, f"it has {pixels.ndim} axes and names {axes}")
    if (stored := _stored_t(path)) is not None and axes.startswith("T"):
        pixels = pixels[:stored]
    return pixels, axes


def _read_array(array: Path, path: Path) -> npt.NDArray[Any]:
    import tensorstore as ts

    driver = "zarr3" if (array / "zarr.json").exists() else "zarr"
    try:
        store = ts.open(
            {"driver": driver, "kvstore": {"driver": "file", "path": str(array)}},
            read=True,
        ).result()
        return np.asarray(store.read().result())
    # tensorstore maps its status codes to many classes
    except Exception as e:
        raise _refused(path, f"{str(e).splitlines()[0]:.200}") from e


def _attributes(group: Path) -> dict[str, Any]:
    """Return what stands under OME in a group: zarr 3 (OME-Zarr 0.5) or 2 (0.4)."""
    try:
        if (group / "zarr.json").exists():
            attributes = json.loads((group / "zarr.json").read_bytes()).get(
                "attributes"
            )
            found = (attributes or {}).get("ome", {})
        elif (group / ".zattrs").exists():
            found = json.loads((group / ".zattrs").read_bytes())
        else:
            raise _refused(group, "the folder is no OME-Zarr")
    except (OSError, ValueError) as e:
        raise _refused(group, f"its metadata are broken: {e}") from e
    return found if isinstance(found, dict) else {}


def _only_survey(collection: Path) -> Path:
    series = []
    if (collection / "OME" / "zarr.json").exists():
        series = list(_attributes(collection / "OME").get("series", []))
    elif (collection / "0").is_dir():
        series = ["0"]
    chosen = [s for s in series if s.startswith("survey")] or series
    if len(chosen) != 1:
        raise _refused(
            collection,
            f"it is a collection of {len(series)} images"
            + (f" ({', '.join(series[:8])})" if series else ""),
            f"Name one, such as {collection}/{chosen[0]}." if chosen else "",
        )
    return collection / str(chosen[0])


def _stored_t(image: Path) -> int | None:
    """Return how many times of a run's image its journal calls stored, if it is one.

    The array of a run that was killed is longer than what was stored in it.
    """
    path = image.parent.parent / "journal.jsonl"
    if not path.exists():
        return None
    from smartscope.storage.journal import read_journal

    times = [
        record["index"][0] + 1
        for record in read_journal(path).records
        if record.get("kind") == "frame" and record.get("image") == image.name
    ]
    return max(times, default=0)
