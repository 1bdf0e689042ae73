"""bioimage.io packages, made on the spot, for tests."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

AXIS = {"b": {"type": "batch", "size": 1}, "i": {"type": "index"}}


def axes_0_5(
    letters: str, shape: Sequence[int], sizes: Mapping[str, Any], *, follows: bool
) -> list[dict[str, Any]]:
    """Word axes; ``sizes`` are free ones, an output ``follows`` the input's."""
    described = []
    for letter, length in zip(letters, shape, strict=True):
        if letter == "c":
            names = [f"c{i}" for i in range(length)]
            axis = {"type": "channel", "channel_names": names}
        elif letter in "yxz":
            size = sizes.get(letter, length)
            if follows and letter in sizes:
                size = {"tensor_id": "raw", "axis_id": letter}
            axis = {"type": "space", "id": letter, "size": size}
        else:
            axis = dict(AXIS[letter])
        described.append(axis)
    return described


def write_0_5(
    folder: Path,
    given: np.ndarray,
    expected: np.ndarray,
    *,
    letters: str = "bcyx",
    out_letters: str | None = None,
    before: Sequence[Mapping[str, Any]] = (),
    after: Sequence[Mapping[str, Any]] = (),
    sizes: Mapping[str, Any] | None = None,
    halo: int = 0,
    **changes: Any,
) -> Path:
    """Describe ``weights.onnx``, which is in the folder, with its test tensors."""
    np.save(folder / "test_input.npy", given)
    np.save(folder / "test_output.npy", expected)
    (folder / "README.md").write_text("made for a test\n", encoding="utf-8")
    out_letters = out_letters or letters
    outputs = axes_0_5(out_letters, expected.shape, sizes or {}, follows=True)
    for axis in outputs:
        if axis["type"] == "space" and halo:
            axis["halo"] = halo
    content = {
        "format_version": "0.5.4",
        "type": "model",
        "name": "Made for a test",
        "description": "Made for a test.",
        "authors": [{"name": "nobody"}],
        "cite": [{"text": "none", "url": "https://example.com"}],
        "license": "MIT",
        "documentation": "README.md",
        "inputs": [
            {
                "id": "raw",
                "axes": axes_0_5(letters, given.shape, sizes or {}, follows=False),
                "data": {"type": str(given.dtype)},
                "test_tensor": {"source": "test_input.npy"},
                "preprocessing": [dict(s) for s in before],
            }
        ],
        "outputs": [
            {
                "id": "map",
                "axes": outputs,
                "data": {"type": str(expected.dtype)},
                "test_tensor": {"source": "test_output.npy"},
                "postprocessing": [dict(s) for s in after],
            }
        ],
        "weights": {"onnx": {"source": "weights.onnx", "opset_version": 18}},
        **changes,
    }
    (folder / "bioimageio.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def write_0_4(
    folder: Path,
    given: np.ndarray,
    expected: np.ndarray,
    *,
    letters: str = "bcyx",
    before: Sequence[Mapping[str, Any]] = (),
    after: Sequence[Mapping[str, Any]] = (),
    **changes: Any,
) -> Path:
    """Describe ``weights.onnx`` as 0.4 does; sizes are fixed."""
    np.save(folder / "test_input.npy", given)
    np.save(folder / "test_output.npy", expected)
    (folder / "README.md").write_text("made for a test\n", encoding="utf-8")
    content = {
        "format_version": "0.4.10",
        "type": "model",
        "name": "Made for a test",
        "description": "Made for a test.",
        "authors": [{"name": "nobody"}],
        "cite": [{"text": "none", "url": "https://example.com"}],
        "license": "MIT",
        "documentation": "README.md",
        "tags": [],
        "timestamp": "2022-01-01T00:00:00",
        "inputs": [
            {
                "name": "raw",
                "axes": letters,
                "data_type": str(given.dtype),
                "shape": list(given.shape),
                "preprocessing": [dict(s) for s in before],
            }
        ],
        "outputs": [
            {
                "name": "map",
                "axes": letters,
                "data_type": str(expected.dtype),
                "shape": list(expected.shape),
                "postprocessing": [dict(s) for s in after],
            }
        ],
        "test_inputs": ["test_input.npy"],
        "test_outputs": ["test_output.npy"],
        "weights": {"onnx": {"source": "weights.onnx", "opset_version": 18}},
        **changes,
    }
    (folder / "rdf.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def zipped(folder: Path, path: Path, *, inside: str = "") -> Path:
    """Zip a package; ``inside`` is a folder within the zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{inside}{file.name}")
    return path
