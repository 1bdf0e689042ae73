"""Tiles save memory; with ``SMARTSCOPE_LONG=1`` and ``-s`` the figures are shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from smartscope.bench.u_net import save_u_net

if not Path("/proc/self/status").is_file():
    pytest.skip("no /proc here", allow_module_level=True)

# a process of its own: what one run has taken another could reuse
_RUN = """
import json, sys, time
import numpy as np
from smartscope.inference import DetectSettings, Pipeline

def used():
    # not ru_maxrss: a new process begins with that of the one that started it
    with open("/proc/self/status") as status:
        (peak,) = (line for line in status if line.startswith("VmHWM"))
    return int(peak.split()[1])

path, size, tile, fuse = sys.argv[1], *map(int, sys.argv[2:])
asked = DetectSettings(model=path, device="cpu", tile_px=tile or None)
image = np.random.default_rng(0).poisson(50, (size, size)).astype(np.uint16)
before = used()
pipeline = Pipeline.load(asked, threads=1, fuse=bool(fuse))
seen = pipeline.run(image).map
began = time.perf_counter()
pipeline.run(image)
took = time.perf_counter() - began
told = {"kB": used() - before, "s": took, "sum": float(seen.sum(dtype=float))}
print(json.dumps(told | {"tiled": bool(pipeline.detect.tiled(image.shape))}))
"""


def test_memory_of_tiles(tmp_path: Path) -> None:
    path = tmp_path / "u.onnx"
    save_u_net(path, 256)
    model = onnx.load(str(path))
    for port, names in ((model.graph.input[0], "yx"), (model.graph.output[0], "vu")):
        for axis, name in zip((2, 3), names, strict=True):
            port.type.tensor_type.shape.dim[axis].dim_param = name
    del model.graph.value_info[:]
    onnx.save(model, str(path))
    path.with_suffix(".yaml").write_text(
        "head: components\nnormalisation: zero_mean_unit_variance\n"
        "postprocessing: sigmoid\nstep: 16\n",
        "utf-8",
    )

    def measured(size: int, tile: int, *, fuse: bool = False) -> dict[str, float]:
        asked = [str(path), *(str(int(n)) for n in (size, tile, fuse))]
        ran = subprocess.run(
            [sys.executable, "-c", _RUN, *asked],
            capture_output=True,
            text=True,
            check=True,
        )
        told: dict[str, float] = json.loads(ran.stdout)
        sys.stdout.write(f"{size} px, tile_px {tile}, fused {fuse}: {told}\n")
        return told

    size = 2048 if os.environ.get("SMARTSCOPE_LONG") else 1024
    whole, tiled = measured(size, 0), measured(size, 256)
    assert (whole["tiled"], tiled["tiled"]) == (False, True)
    assert tiled["sum"] == pytest.approx(whole["sum"], rel=1e-6)
    assert tiled["kB"] < 0.6 * whole["kB"]
    if os.environ.get("SMARTSCOPE_LONG"):
        measured(size, 0, fuse=True)
        for tile in (512, 1024):
            assert measured(size, tile)["kB"] < 0.6 * whole["kB"]
