"""What a network learns from: patches of noisy images and what they should become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.pairs import MANIFEST, Example, PairFolder, checked, pixels_sha256
from smartscope.storage import Movie
from smartscope.training.settings import TrainSettings
from smartscope.training.windows import check_frames, window

Floats = npt.NDArray[np.float32]

# of one image alone this part of its rows watches over the training
_WATCHED = 0.125
_LEAST = 2  # pairs of a folder
_DISTANCE_PX = 4  # hidden pixels take the value of another one so near


@dataclass(frozen=True)
class Field:
    """Images of one field.

    Attributes
    ----------
    noisy : np.ndarray
        Shape ``(T, Y, X)``, counts, as in the file.
    clean : np.ndarray or None
        Shape ``(Y, X)``.
    """

    noisy: npt.NDArray[Any]
    clean: Floats | None = None

    def with_clean(self, gain: float, offset: float) -> Field:
        """Return it with other counts of the clean image."""
        assert self.clean is not None
        return Field(self.noisy, (gain * self.clean + offset).astype(np.float32))


@dataclass(frozen=True)
class Samples:
    """Fields that a network learns from, and those that watch over it.

    Attributes
    ----------
    train, watch : tuple of Field
        Never the same pixels.
    mean, scale : float
        Of the counts of the noisy images in ``train``.
    pixel_size_um : float or None
        Edge of a pixel, where it is known.
    source : Path
        Where they come from.
    sha256 : tuple of str
        Hashes of the images in both.
    gain, offset : float
        By which clean images were brought to the counts of the noisy ones.
    """

    train: tuple[Field, ...]
    watch: tuple[Field, ...]
    mean: float
    scale: float
    source: Path
    pixel_size_um: float | None = None
    sha256: tuple[str, ...] = ()
    gain: float = 1.0
    offset: float = 0.0

    @classmethod
    def read(cls, data: Path, settings: TrainSettings) -> Samples:
        """Read a folder of pairs, or of n2v a movie or a folder of images.

        The test part of a folder is not read.

        Raises
        ------
        smartscope.errors.Refused
            If it cannot be read, or is not what the method needs.
        """
        if not data.exists():
            raise Refused(
                f"There is nothing at {data}.",
                rule="A model learns from a folder of pairs, or of n2v from images.",
                way_out="Check the path.",
            )
        if settings.method == "n2v" and not _is_pairs(data):
            return cls._of_images(data, settings)
        pairs = PairFolder.open(data)
        pairs.check_no_leak()
        if settings.method == "care" and pairs.kind != "clean":
            raise Refused(
                f"{data} holds no clean images.",
                rule="care learns from noisy and clean images.",
                way_out="Take n2n or n2v, or take pairs with a high exposure.",
            )
        train, watch = pairs.of_split("train"), pairs.of_split("validation")
        if all(e.split is None for e in pairs.examples):
            pairs.check_different()
            if settings.method != "n2v":
                _check_enough(data, pairs.examples)
            cut = len(pairs.examples) // 6 or min(1, len(pairs.examples) - 1)
            train, watch = pairs.examples[cut:], pairs.examples[:cut]
        if settings.method == "care":
            checked([*train, *watch], least=0)
        sizes = {e.pixel_size_um for e in train}
        fields = [_field(e, settings) for e in (*train, *watch)]
        gain, offset = 1.0, 0.0
        if settings.method == "care" and pairs.manifest is None:
            gain, offset = _to_counts(fields)
            fields = [f.with_clean(gain, offset) for f in fields]
        return cls._of(
            fields[: len(train)],
            fields[len(train) :],
            settings,
            data,
            gain=gain,
            offset=offset,
            pixel_size_um=sizes.pop() if len(sizes) == 1 else None,
            sha256=tuple(e.sha256 for e in (*train, *watch)),
        )

    @classmethod
    def _of_images(cls, data: Path, settings: TrainSettings) -> Samples:
        paths = [data]
        if data.is_dir() and not (data / "zarr.json").exists():
            paths = sorted(p for p in data.iterdir() if p.suffix in (".tif", ".tiff"))
        movies = [Movie.open(path) for path in paths]
        stacks = [np.stack([m.read(t) for t in range(len(m))]) for m in movies]
        if not stacks:
            raise Refused(
                f"{data} holds no TIFF.",
                rule="n2v learns from images.",
                way_out="Name a TIFF, an OME-Zarr or a folder of them.",
            )
        if settings.frames > 1:
            for path, stack in zip(paths, stacks, strict=True):
                check_frames(path.name, len(stack), settings)
            fields = [Field(stack) for stack in stacks]
        else:
            fields = [Field(frame[None]) for stack in stacks for frame in stack]
        hashes = tuple(pixels_sha256(stack) for stack in stacks)
        return cls._of(fields, [], settings, data, sha256=hashes)

    @classmethod
    def _of(
        cls,
        train: list[Field],
        watch: list[Field],
        settings: TrainSettings,
        source: Path,
        **known: Any,
    ) -> Samples:
        if not train:
            raise Refused(
                f"{source} holds nothing to train on.",
                rule="At least one field is needed.",
                way_out="Take more pairs, at other places.",
            )
        if not watch:
            train, watch = _parted(train, settings)
        edge = min(min(f.noisy.shape[1:]) for f in (*train, *watch))
        if edge < settings.patch_px:
            raise Refused(
                f"An image has {edge} pixels to a side, and a patch "
                f"{settings.patch_px}.",
                rule="Patches are cut from the images.",
                way_out="Set a smaller patch.",
            )
        values = np.concatenate([f.noisy.ravel()[::7] for f in train])
        scale = float(values.std())
        if not scale > 0:
            raise Refused(
                f"The images of {source} have one value only.",
                rule="There must be something to learn from.",
                way_out="Check the images.",
            )
        return cls(
            tuple(train), tuple(watch), float(values.mean()), scale, source, **known
        )

    def batch(
        self, settings: TrainSettings, rng: np.random.Generator, *, watch: bool = False
    ) -> tuple[Floats, Floats, Floats]:
        """Return patches, what they should become, and where that is asked.

        Parameters
        ----------
        settings : TrainSettings
            Method and sizes.
        rng : np.random.Generator
            Draws fields, places, turns and hidden pixels.
        watch : bool
            Of the fields that watch over the training.

        Returns
        -------
        given, wanted, weight : np.ndarray
            The first ``(batch, frames, patch, patch)``, the others
            ``(batch, 1, patch, patch)``, float32, the first two in units of the scale.
        """
        fields = self.watch if watch else self.train
        cuts = [self._cut(fields, settings, rng) for _ in range(settings.batch)]
        given, wanted, weight = (np.stack(part) for part in zip(*cuts, strict=True))
        return (
            ((given - self.mean) / self.scale).astype(np.float32),
            ((wanted - self.mean) / self.scale).astype(np.float32),
            weight.astype(np.float32),
        )

    def _cut(
        self,
        fields: tuple[Field, ...],
        settings: TrainSettings,
        rng: np.random.Generator,
    ) -> tuple[Floats, Floats, Floats]:
        field = fields[rng.integers(len(fields))]
        repeats, rows, columns = field.noisy.shape
        edge = settings.patch_px
        y, x = rng.integers(rows - edge + 1), rng.integers(columns - edge + 1)
        cut = np.s_[y : y + edge, x : x + edge]
        t = int(rng.integers(repeats))
        newest: Floats = field.noisy[t][cut].astype(np.float32)
        weight = np.ones_like(newest)
        other = None
        if settings.method == "care" and field.clean is not None:
            wanted: Floats = field.clean[cut].astype(np.float32)
        elif settings.method == "n2n":
            other = (t + int(rng.integers(1, repeats))) % repeats
            wanted = field.noisy[other][cut].astype(np.float32)
        else:
            wanted = newest
            newest, weight = hidden(newest, settings.masked, rng)
        given = newest[None]
        if settings.frames > 1:
            given = window(
                field.noisy,
                newest,
                (t, int(y), int(x)),
                rng,
                frames=settings.frames,
                never=other,
                moved=settings.method != "n2v",
            )
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        turned = [
            np.rot90(part, turns, axes=(1, 2))
            for part in (given, wanted[None], weight[None])
        ]
        if mirrored:
            turned = [part[:, :, ::-1] for part in turned]
        return turned[0], turned[1], turned[2]


def hidden(
    image: Floats, share: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Return an image some of whose pixels have the value of another near one.

    What was there must be told from the pixels around: noise that differs from pixel to
    pixel cannot be.

    Parameters
    ----------
    image : np.ndarray
        Shape ``(Y, X)``.
    share : float
        Of the pixels.
    rng : np.random.Generator
        Draws which.

    Returns
    -------
    image, where : np.ndarray
        Both ``(Y, X)``; ``where`` is 1 at the hidden pixels.

    Notes
    -----
    A. Krull et al., CVPR 2019 (Noise2Void), uniform pixel selection; the pixel itself
    is never its own replacement.
    """
    rows, columns = image.shape
    n = max(1, round(share * image.size))
    at = rng.choice(image.size, n, replace=False)
    y, x = np.divmod(at, columns)
    reach = _DISTANCE_PX
    dy, dx = rng.integers(-reach, reach + 1, (2, n))
    dx = np.where((dy == 0) & (dx == 0), 1, dx)
    # beyond the edge mirrored: a pixel may not meet itself there
    to_y, to_x = _mirrored(y + dy, rows), _mirrored(x + dx, columns)
    itself = (to_y == y) & (to_x == x)
    to_x = np.where(itself, np.where(x + 1 < columns, x + 1, x - 1), to_x)
    changed, where = image.copy(), np.zeros_like(image)
    changed[y, x] = image[to_y, to_x]
    where[y, x] = 1
    return changed, where


def _mirrored(at: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    inside = np.abs(at)
    return np.where(inside >= length, 2 * (length - 1) - inside, inside)


def _to_counts(fields: Sequence[Field]) -> tuple[float, float]:
    """Return gain and offset from the clean images to the counts of the noisy ones.

    One line through the pixels of all pairs: its errors lie in the noisy images alone,
    so that it is no steeper and no flatter than it should be. What 'smartscope pairs'
    has taken is in these counts already.
    """
    clean = np.concatenate(
        [f.clean[::3, ::3].ravel() for f in fields if f.clean is not None]
    )
    noisy = np.concatenate([f.noisy[0, ::3, ::3].ravel() for f in fields])
    off = clean - clean.mean(dtype=np.float64)
    spread = float(np.mean(off**2))
    gain = float(np.mean(off * noisy)) / spread if spread > 0 else 1.0
    offset = float(noisy.mean(dtype=np.float64) - gain * clean.mean(dtype=np.float64))
    return gain, offset


def _check_enough(data: Path, examples: Sequence[Example]) -> None:
    if len(examples) < _LEAST:
        raise Refused(
            f"There are too few images in {data}: {len(examples)}.",
            rule="At least one is learned from, and another watches that it is not "
            "learned by heart.",
            way_out="Take more, at other places. n2v learns from a single image too, "
            "named by itself.",
        )


def _is_pairs(data: Path) -> bool:
    return data.is_dir() and (
        (data / MANIFEST).is_file()
        or any(p.is_dir() and p.name in ("noisy", "low") for p in data.iterdir())
    )


def _field(example: Example, settings: TrainSettings) -> Field:
    noisy = example.noisy()
    check_frames(example.name, len(noisy), settings)
    if settings.method == "n2n" and len(noisy) < 2:
        raise Refused(
            f"{example.name} has one noisy frame.",
            rule="n2n learns from two noisy images of the same.",
            way_out="Take repeats (pairs: repeats: 2), or take n2v.",
        )
    clean = example.truth().astype(np.float32) if example.clean is not None else None
    return Field(noisy, clean)


def _parted(
    fields: list[Field], settings: TrainSettings
) -> tuple[list[Field], list[Field]]:
    """Take the last rows of each field away, to watch over the training."""
    train, watch = [], []
    for field in fields:
        rows = field.noisy.shape[1]
        kept = rows - max(settings.patch_px, round(_WATCHED * rows))
        if kept < settings.patch_px:
            raise Refused(
                f"An image of {rows} rows is too small for patches of "
                f"{settings.patch_px}.",
                rule="A part of it must watch over the training.",
                way_out="Set a smaller patch, or give more images.",
            )
        clean = field.clean
        train.append(
            Field(field.noisy[:, :kept], None if clean is None else clean[:kept])
        )
        watch.append(
            Field(field.noisy[:, kept:], None if clean is None else clean[kept:])
        )
    return train, watch
