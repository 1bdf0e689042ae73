"""Nets of several channels or frames, made on the spot: what they see is known.

``python plane_nets.py FOLDER`` writes them, and a microscope of small frames with a
dark and a flat field, into a folder.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tifffile
import yaml
from onnx import TensorProto, helper, numpy_helper


def write_sum_net(
    path: Path, weights: Sequence[float], bias: float = 0.0, **card: Any
) -> Path:
    """Write a net whose map is the weighted sum of its channels plus `bias`."""
    kernel = np.asarray(weights, np.float32).reshape(1, -1, 1, 1)
    node = helper.make_node("Conv", ["image", "kernel", "bias"], ["map"])
    taken = [1, len(weights), "y", "x"]
    graph = helper.make_graph(
        [node],
        "sum",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, taken)],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, 1, "y", "x"])],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.array([bias], np.float32), "bias"),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(path))
    path.with_suffix(".yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return path


def two_channels(path: Path) -> Path:
    """Write a net that sees what is brighter in its second than in its first."""
    return write_sum_net(path, [-0.004, 0.004], 0.0, head="components")


def difference(path: Path) -> Path:
    """Write a net that sees what is bright and was not much brighter before."""
    card = {"head": "components", "channels_are": "frames"}
    return write_sum_net(path, [-0.01, 0.012], **card)


def normalised(path: Path, step: Mapping[str, Any] | None = None) -> Path:
    """Write a net that sees what is bright, by a threshold on normalised counts."""
    steps = [step or {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["x", "y"]}}]
    return write_sum_net(path, [0.5], head="components", normalisation=steps)


def write_microscope(
    folder: Path,
    size: int = 64,
    dark: np.ndarray | None = None,
    flats: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Write a simulated microscope of small frames, with its dark and flat fields."""
    camera = []
    if dark is not None:
        tifffile.imwrite(folder / "dark.tif", dark)
        camera.append('dark = "dark.tif"')
    for name, flat in (flats or {}).items():
        file = f"flat_{name}.tif" if name else "flat.tif"
        tifffile.imwrite(folder / file, flat)
        camera.append(f'flat.{name} = "{file}"' if name else f'flat = "{file}"')
    path = folder / "small.toml"
    path.write_text(
        f"""\
kind = "simulated"
objective = "Nikon 10X S Fluor"
focus_direction = "toward"
[pixel_size_um]
"Nikon 10X S Fluor" = 1.3
[light]
power_property = ["Light", "Power"]
[camera]
{chr(10).join(camera)}
[simulation.sensor]
shape = [{size}, {size}]
""",
        encoding="utf-8",
    )
    return path


def vignette(size: int = 64) -> np.ndarray:
    """Return a flat field in counts: 100 of them dark, a quarter as bright at edges."""
    rows, columns = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    bright = 1 - 0.375 * (rows**2 + columns**2)
    return np.rint(100 + 20_000 * bright).astype(np.uint16)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    two_channels(out / "two_channels.onnx")
    difference(out / "difference.onnx")
    normalised(out / "normalised.onnx")
    write_microscope(
        out, dark=np.full((64, 64), 100, np.uint16), flats={"": vignette()}
    )
