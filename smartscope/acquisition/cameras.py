"""The cameras behind the core's camera: one, or several that expose together.

An adapter such as Micro-Manager's Multi Camera is one device to the core and gives one
image of each of its physical cameras for every exposure. In a triggered sequence these
come in any order; here they are brought back into step.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from smartscope.errors import BrokenOff

if TYPE_CHECKING:
    from pymmcore_plus import CMMCorePlus

T = TypeVar("T")

# what the core writes to each image of a sequence: the label of the physical camera
_LABEL_TAG = "Camera"
# what Multi Camera writes besides, after its own label
_INDEX_TAG = "CameraChannelIndex"


@dataclass(frozen=True, slots=True)
class Camera:
    """One physical camera, as it is set now.

    Attributes
    ----------
    label : str
        Its label in the core.
    shape : tuple of int
        Rows and columns of its images.
    bytes_per_pixel : int
        Of its images.
    bit_depth : int
        Bits of its counts.
    """

    label: str
    shape: tuple[int, int]
    bytes_per_pixel: int
    bit_depth: int

    def __str__(self) -> str:
        rows, columns = self.shape
        return f"{self.label}: {columns} x {rows} pixels of {self.bytes_per_pixel} byte"


def camera_labels(core: CMMCorePlus) -> tuple[str, ...]:
    """Return the labels of the cameras that give an image at every exposure.

    The core's camera itself, unless it stands for several; ``()`` if it stands for
    none, as a Multi Camera that no camera was given.
    """
    count = int(core.getNumberOfCameraChannels())
    if count > 1:
        return tuple(str(core.getPhysicalCameraDevice(i)) for i in range(count))
    label = str(core.getCameraDevice())
    return (label,) if label and count == 1 else ()


def look_at_cameras(core: CMMCorePlus) -> tuple[Camera, ...]:
    """Return the cameras that give an image at every exposure, as they are set now.

    Of several, each is made the core's camera for a moment, which moves nothing; no
    sequence may run meanwhile.
    """
    labels = camera_labels(core)
    if len(labels) < 2:
        return tuple(_look(core, label) for label in labels)
    before = core.getCameraDevice()
    found = []
    try:
        for label in labels:
            core.setCameraDevice(label)
            found.append(_look(core, label))
    finally:
        core.setCameraDevice(before)
    return tuple(found)


def _look(core: CMMCorePlus, label: str) -> Camera:
    return Camera(
        label,
        (int(core.getImageHeight()), int(core.getImageWidth())),
        int(core.getBytesPerPixel()),
        int(core.getImageBitDepth()),
    )


def differing(cameras: Sequence[Camera]) -> str:
    """Return how cameras that expose together differ in their images, or ``""``."""
    if len({(c.shape, c.bytes_per_pixel) for c in cameras}) < 2:
        return ""
    return "; ".join(map(str, cameras))


def which_camera(tags: Any, labels: Sequence[str]) -> int:
    """Return the number of the camera that gave an image of a sequence.

    Parameters
    ----------
    tags : Metadata
        Of the image, as the core gives them: a mapping of str to str.
    labels : Sequence of str
        Of the cameras.

    Raises
    ------
    smartscope.errors.BrokenOff
        If the tags name none of them.
    """
    label = tags.get(_LABEL_TAG, None)
    if label in labels:
        return labels.index(label)
    for key, value in tags.items():
        if key.endswith(_INDEX_TAG) and str(value).isdigit():
            if (number := int(value)) < len(labels):
                return number
            break
    raise BrokenOff(
        f"An image of a sequence came from the camera {label!r}.",
        rule=f"The cameras that expose together are: {', '.join(labels)}.",
        way_out="Check the physical cameras of the core's camera.",
    )


class InStep(Generic[T]):
    """Images of cameras that expose together, given out exposure by exposure.

    Each camera gives its images in order, and one for each exposure.

    Parameters
    ----------
    cameras : int
        How many there are.
    """

    def __init__(self, cameras: int) -> None:
        self._waiting: list[deque[T]] = [deque() for _ in range(cameras)]

    def add(self, camera: int, image: T) -> list[tuple[int, T]]:
        """Take an image; return the exposure that it completes, or ``[]``.

        Returns
        -------
        list of (int, T)
            Number of the camera and its image, in the order of the cameras.
        """
        if len(self._waiting) == 1:
            return [(camera, image)]
        self._waiting[camera].append(image)
        if not all(self._waiting):
            return []
        return [(i, waiting.popleft()) for i, waiting in enumerate(self._waiting)]

    def rest(self) -> Iterator[list[tuple[int, T]]]:
        """Give out the exposures that not every camera gave an image of."""
        while any(self._waiting):
            yield [(i, w.popleft()) for i, w in enumerate(self._waiting) if w]

    def behind(self) -> list[int]:
        """Return the cameras that the others wait for."""
        if not any(self._waiting):
            return []
        return [i for i, waiting in enumerate(self._waiting) if not waiting]
