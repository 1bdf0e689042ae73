"""Build the classical models: ``python -m smartscope.inference.build_classical``.

The bytes are the same on every machine, so that a test can rebuild and compare them.
The test tensors come from the references in numpy, not from the graphs: whoever runs
them checks the graphs too.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from smartscope.inference import classical

_TEST_SHAPE = (128, 160)
_SEED = 7

_GAUSSIAN_TEXT = """\
# gaussian

Smooths a frame with a Gaussian of 1 pixel standard deviation (9 taps along each axis,
border mirrored). White noise falls to 0.28 of its standard deviation; a structure much
larger than 3 pixels keeps its brightness.

* Input: one channel, any dtype and size of at least 16 pixels, raw counts.
* Output: float32, the same size, counts.
* Known limits: it is linear and knows nothing of the specimen, so it invents nothing
  and blurs what is finer than 2 pixels.
* Made by `python -m smartscope.inference.build_classical`; nothing was trained. The
  test tensors come from the same smoothing in scipy, in double precision.
"""

_DOG_TEXT = """\
# dog

Finds bright blobs the size of a nucleus (radius about 6 µm at 0.65 µm per pixel) by a
difference of Gaussians. The response is measured in units of the noise that the frame
itself shows, so that the threshold means the same at every exposure:

    score = z / (z + 9),   z = response / its standard deviation by noise alone

A score of 0.5 is a response 9 standard deviations high. An empty noisy frame stays
below that, also after smoothing by `gaussian`.

* Input: one channel, raw counts, at least 64 pixels along each axis, a multiple of 4.
* Output: float32 in [0, 1] at half the size; pixel (r, c) of it lies at (2r + 0.5,
  2c + 0.5) of the frame. Read it with the head `peaks`.
* Two daughters 13 µm apart are two peaks; one nucleus, elongated up to 2:1 with a
  radius of 9 pixels across, is one.
* Known limits: it knows one size (good from 0.6 to 1.7 times the radius); a bright body
  that is no nucleus is a blob too; a frame whose quietest quarter is still full of
  structure finer than a nucleus counts that structure as noise.
* Made by `python -m smartscope.inference.build_classical`; nothing was trained. The
  test tensors come from the same arithmetic in numpy and scipy, in double precision.
"""


@dataclass(frozen=True, slots=True)
class _Recipe:
    name: str
    title: str
    text: str
    onnx: Callable[[], bytes]
    reference: Callable[[npt.NDArray[Any]], npt.NDArray[np.float64]]
    least_px: int
    step_px: int
    stride: int
    output: str
    tags: tuple[str, ...]
    head: Mapping[str, Any]


_RECIPES = (
    _Recipe(
        name="gaussian",
        title="Gaussian smoothing",
        text=_GAUSSIAN_TEXT,
        onnx=classical.gaussian_onnx,
        reference=classical.gaussian_reference,
        least_px=16,
        step_px=1,
        stride=1,
        output="restored",
        tags=("denoising", "classical"),
        head={},
    ),
    _Recipe(
        name="dog",
        title="Difference of Gaussians",
        text=_DOG_TEXT,
        onnx=classical.dog_onnx,
        reference=classical.dog_reference,
        least_px=64,
        step_px=classical.DOG_STEP_PX,
        stride=2,
        output="score",
        tags=("detection", "nuclei", "classical"),
        head={
            "head": "peaks",
            "threshold": 0.5,
            "classes": ["nucleus"],
            "radius_um": classical.RADIUS_UM,
            "min_distance_um": 5.0,
        },
    ),
)


def build(folder: Path) -> list[Path]:
    """Write the packages.

    Parameters
    ----------
    folder : Path
        Each package becomes a folder in it; files there are replaced.

    Returns
    -------
    list of Path
        The package folders.
    """
    return [_build(recipe, folder / recipe.name) for recipe in _RECIPES]


def _build(recipe: _Recipe, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    image = _test_image()
    # rounded, so that the last bits of a machine's arithmetic do not change the file
    output = np.round(recipe.reference(image), 5).astype(np.float32)
    content = {
        "weights.onnx": recipe.onnx(),
        "test_input.npy": _npy(image[None, None]),
        "test_output.npy": _npy(output[None, None]),
        "README.md": recipe.text.encode(),
    }
    content["bioimageio.yaml"] = yaml.safe_dump(
        _description(recipe, content), sort_keys=False, allow_unicode=True, width=88
    ).encode()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def _test_image() -> npt.NDArray[np.uint16]:
    """Return nuclei on a dark ground, in counts of a noisy camera.

    Drawn from whole numbers only: those of a seeded generator are the same everywhere.
    """
    rng = np.random.default_rng(_SEED)
    rows, columns = np.indices(_TEST_SHAPE)
    photons = np.full(_TEST_SHAPE, 20)
    for row, column in ((30, 34), (36, 110), (84, 62), (84, 82), (100, 130)):
        inside = (rows - row) ** 2 + (columns - column) ** 2 <= 81
        photons = photons + 60 * inside
    # a sum of coin tosses is close to a Poisson number and needs no floating point
    tosses = rng.integers(0, 2, size=(16, *_TEST_SHAPE)).sum(axis=0) - 8
    counts = 100 + 2 * photons + tosses * (3 + photons // 40)
    return np.asarray(counts, np.uint16)


def _npy(array: npt.NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _description(recipe: _Recipe, content: Mapping[str, bytes]) -> dict[str, Any]:
    def file(name: str) -> dict[str, str]:
        digest = hashlib.sha256(content[name]).hexdigest()
        return {"source": name, "sha256": digest}

    def space(letter: str) -> dict[str, Any]:
        return {
            "type": "space",
            "id": letter,
            "unit": "micrometer",
            "scale": classical.PIXEL_SIZE_UM,
        }

    size = {"min": recipe.least_px, "step": recipe.step_px}
    described: dict[str, Any] = {
        "format_version": "0.5.4",
        "type": "model",
        "name": recipe.title,
        "description": recipe.text.split("\n\n")[1].replace("\n", " "),
        "version": "1.0.0",
        "authors": [{"name": "The smartscope developers"}],
        "cite": [
            {
                "text": "Classical image processing; see README.md.",
                "url": "https://en.wikipedia.org/wiki/Difference_of_Gaussians"
                if recipe.name == "dog"
                else "https://en.wikipedia.org/wiki/Gaussian_blur",
            }
        ],
        "license": "BSD-3-Clause",
        "documentation": "README.md",
        "tags": list(recipe.tags),
        "inputs": [
            {
                "id": "raw",
                "axes": [
                    {"type": "batch", "size": 1},
                    {"type": "channel", "channel_names": ["intensity"]},
                    {**space("y"), "size": size},
                    {**space("x"), "size": size},
                ],
                "data": {"type": "uint16"},
                "test_tensor": file("test_input.npy"),
                "preprocessing": [
                    {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}
                ],
            }
        ],
        "outputs": [
            {
                "id": recipe.output,
                "axes": [
                    {"type": "batch", "size": 1},
                    {"type": "channel", "channel_names": [recipe.output]},
                    *(
                        {
                            **space(letter),
                            "scale": classical.PIXEL_SIZE_UM * recipe.stride,
                            "size": {"tensor_id": "raw", "axis_id": letter},
                        }
                        for letter in "yx"
                    ),
                ],
                "data": {"type": "float32"},
                "test_tensor": file("test_output.npy"),
            }
        ],
        "weights": {"onnx": {**file("weights.onnx"), "opset_version": 18}},
    }
    if recipe.head:
        described["config"] = {"smartscope": dict(recipe.head)}
    return described


def main() -> None:
    """Write the packages into the zoo of this checkout."""
    zoo = Path(str(files("smartscope"))) / "zoo"
    for folder in build(zoo):
        sys.stdout.write(f"{folder}\n")


if __name__ == "__main__":
    main()
