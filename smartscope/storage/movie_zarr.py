"""Finds the one image of an OME-Zarr, a collection or a run folder, and opens it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartscope.storage.journal import read_journal
from smartscope.storage.run_folder import RunFolder

if TYPE_CHECKING:
    import tensorstore as ts


def open_zarr(path: Path) -> tuple[ts.TensorStore, str, int | None]:
    """Open an image at its full resolution.

    Parameters
    ----------
    path : Path
        An OME-Zarr image (0.1 to 0.5), a collection with one survey image, or a run.

    Returns
    -------
    store : tensorstore.TensorStore
        To be read.
    axes : str
        One capital letter each.
    times : int or None
        How many times are stored, where a journal beside it tells: the array of a run
        that was killed is longer than what was stored in it.

    Raises
    ------
    ValueError
        Why it is no such image, in words.
    Exception
        What tensorstore raises.
    """
    import tensorstore as ts

    if (path / "raw.ome.zarr").is_dir():
        path = path / "raw.ome.zarr"
    ome = _attributes(path)
    if "multiscales" not in ome:
        path = _only_image(path)
        ome = _attributes(path)
    try:
        scale = ome["multiscales"][0]
        array = path / scale["datasets"][0]["path"]
        axes = [a if isinstance(a, str) else a["name"] for a in scale.get("axes", ())]
    except (AttributeError, KeyError, IndexError, TypeError) as e:
        raise ValueError(f"its OME metadata lack {e}") from e
    driver = "zarr3" if (array / "zarr.json").exists() else "zarr"
    kvstore = {"driver": "file", "path": str(array.resolve())}
    store = ts.open({"driver": driver, "kvstore": kvstore}, read=True).result()
    # before 0.3 the axes were not named: always the last ones of these
    named = "".join(axes).upper() or "TCZYX"[-store.rank :]
    if len(named) != store.rank:
        raise ValueError(f"it has {store.rank} axes and names {named}")
    return store, named, _stored_times(path)


def _attributes(group: Path) -> dict[str, Any]:
    """Return what stands under OME in a group: zarr 3 (OME-Zarr 0.5) or 2 (0.4)."""
    try:
        if (group / "zarr.json").exists():
            content = json.loads((group / "zarr.json").read_bytes())
            found = (content.get("attributes") or {}).get("ome", {})
        elif (group / ".zattrs").exists():
            found = json.loads((group / ".zattrs").read_bytes())
        else:
            found = {}
    except (AttributeError, OSError, ValueError) as e:
        raise ValueError(f"the metadata in {group.name} are broken: {e}") from e
    return found if isinstance(found, dict) else {}


def _only_image(collection: Path) -> Path:
    """Return the one image of a collection, or its one survey beside its bursts."""
    images = [str(s) for s in _attributes(collection / "OME").get("series", ())]
    if not images:
        images = sorted(
            child.name
            for child in collection.iterdir()
            if child.is_dir() and "multiscales" in _attributes(child)
        )
    chosen = [name for name in images if name.startswith("survey")] or images
    if not images:
        raise ValueError("the folder is no OME-Zarr")
    if len(chosen) != 1:
        raise ValueError(
            f"it is a collection of {len(images)} images ({', '.join(images[:8])}); "
            f"name one, such as {collection / chosen[0]}"
        )
    return collection / chosen[0]


def _stored_times(image: Path) -> int | None:
    run = RunFolder(image.parent.parent)
    restored = image.parent.name == run.restored.name
    journal = run.restored_journal if restored else run.journal
    if not journal.exists():
        return None
    here = [r for r in read_journal(journal).records if r.get("image") == image.name]
    stored = {
        r["frame_id"]: r["index"][0] + 1
        for r in here
        if r.get("kind") in ("frame", "restored")
    }
    gaps = sum(
        r.get("kind") == "unstored" and r["frame_id"] not in stored for r in here
    )
    if gaps:  # they would look like black frames
        raise ValueError(
            f"{gaps} frames of {image.name} were not stored, by policy (storage.survey)"
        )
    return max(stored.values(), default=0)
