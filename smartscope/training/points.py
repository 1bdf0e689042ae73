"""Images with points, and movies with events, parted to train a detector on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.pairs import (
    POINTED_RULE,
    Pointed,
    Split,
    pointed_kind,
    read_pointed,
)
from smartscope.training.heat_source import Points
from smartscope.training.labelled import part_of, read_labelled
from smartscope.training.settings import HeatSettings

_LEAST_POINTS = 5


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

    parts: dict[Split, list[Pointed]]
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
                f"There is no folder {data}.",
                rule=POINTED_RULE,
                way_out="Check the path.",
            )
        kind = pointed_kind(data)
        if settings.frames > 1 and kind != "events":
            raise Refused(
                f"{data} holds no movies/, and {settings.frames} frames are asked for.",
                rule="A detector of few frames learns from movies/ and events/.",
                way_out="Leave --frames out, or give movies.",
            )
        if kind is not None:
            return cls(_parted(read_pointed(data, settings.frames), settings), kind)
        if not any((data / name).is_dir() for name in ("labels", "label", "masks")):
            raise Refused(
                f"{data} holds neither points/ nor labels/ nor movies/.",
                rule=POINTED_RULE,
                way_out="Name the folders so.",
            )
        labelled = read_labelled(data, settings)
        return cls(
            {
                part: [
                    Pointed(
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


def _parted(
    images: Sequence[Pointed], settings: HeatSettings
) -> dict[Split, list[Pointed]]:
    parts: dict[Split, list[Pointed]] = {"train": [], "validation": [], "test": []}
    for one in images:
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


def _middles(labels: npt.NDArray[Any]) -> Points:
    from scipy import ndimage

    numbers = np.unique(labels[labels > 0])
    middles = ndimage.center_of_mass(labels > 0, labels, numbers)
    at = np.array(middles, np.float64).reshape(-1, 2)
    return np.column_stack([np.zeros(len(at)), at])
