"""Which file is the truth of which: by folders, or by the ends of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from smartscope.errors import Refused

Kind = Literal["clean", "labels"]

IMAGES = ("noisy", "low", "raw", "input", "inputs", "image", "images", "x")
TRUTHS: Mapping[Kind, tuple[str, ...]] = {
    "clean": ("clean", "high", "truth", "gt", "target", "targets", "y"),
    "labels": ("labels", "label", "masks", "mask"),
}
ENDINGS = (".tif", ".tiff", ".ome.tif", ".ome.tiff", ".ome.zarr", ".zarr")

_RULE = (
    "Pairs lie in two folders with files of the same names, such as noisy/ and clean/ "
    "or images/ and labels/, or in one as NAME_noisy.tif and NAME_clean.tif, or "
    "NAME_image.tif and NAME_labels.tif; TIFF or OME-Zarr. Or the folder is one of "
    "'smartscope pairs'."
)


class Named(NamedTuple):
    """Files that belong together."""

    name: str
    image: Path
    truth: Path


def find_named(folder: Path) -> tuple[Kind, list[Named]]:
    """Return the pairs that a folder holds, by the names of what is in it.

    Raises
    ------
    smartscope.errors.Refused
        If there are none, or an image has no truth or the other way round.
    """
    for kind, words in TRUTHS.items():
        images, truths = _by_folder(folder, IMAGES), _by_folder(folder, words)
        if not images or not truths:
            images, truths = _by_ending(folder, IMAGES), _by_ending(folder, words)
        if images and truths:
            return kind, _paired(folder, kind, images, truths)
    held = ", ".join(sorted(p.name for p in folder.iterdir())[:6]) or "nothing"
    raise Refused(
        f"{folder} holds no pairs that can be told by their names ({held}).",
        rule=_RULE,
        way_out="Name the files so.",
    )


def _paired(
    folder: Path, kind: Kind, images: dict[str, Path], truths: dict[str, Path]
) -> list[Named]:
    alone = {
        "no truth": sorted(images.keys() - truths.keys()),
        "no image": sorted(truths.keys() - images.keys()),
    }
    if any(alone.values()):
        told = "; ".join(
            f"{len(names)} have {what} ({', '.join(names[:5])}"
            f"{' …' if len(names) > 5 else ''})"
            for what, names in alone.items()
            if names
        )
        raise Refused(
            f"In {folder} {told}.",
            rule=f"Each image has its {'labels' if kind == 'labels' else kind} under "
            "the same name.",
            way_out="Add what is missing, or take away what is alone.",
        )
    return [Named(name, images[name], truths[name]) for name in sorted(images)]


def _by_folder(folder: Path, words: tuple[str, ...]) -> dict[str, Path]:
    for child in sorted(folder.iterdir()):
        if child.is_dir() and child.name.lower() in words:
            return by_stem(child)
    return {}


def _by_ending(folder: Path, words: tuple[str, ...]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = _stem(path, ENDINGS)
        if stem is None:
            continue
        for word in words:
            if stem.lower().endswith((f"_{word}", f"-{word}")):
                _put(found, stem[: -len(word) - 1], path)
    return found


def by_stem(folder: Path, endings: Sequence[str] = ENDINGS) -> dict[str, Path]:
    """Return the files of a folder by their names without the ending.

    Parameters
    ----------
    folder : Path
        Where there is none, there are no files.
    endings : sequence of str
        Of those that count; default: those of images.

    Raises
    ------
    smartscope.errors.Refused
        If two have one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        stem = _stem(path, endings)
        if stem is not None:
            _put(found, stem, path)
    return found


def _put(found: dict[str, Path], name: str, path: Path) -> None:
    if name in found:
        raise Refused(
            f"{found[name].name} and {path.name} in {path.parent} have one name.",
            rule="Of each kind a name stands once: it tells what belongs together.",
            way_out="Take one of them away, or name it otherwise.",
        )
    found[name] = path


def _stem(path: Path, endings: Sequence[str]) -> str | None:
    """Return the name of a file without its ending; None if it has none of them."""
    lower = path.name.lower()
    if lower.startswith("."):
        return None
    for ending in sorted(endings, key=len, reverse=True):
        if lower.endswith(ending) and len(lower) > len(ending):
            return path.name[: -len(ending)]
    return None
