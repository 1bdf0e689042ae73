"""The same packages through bioimageio.core, which is the reference.

It lives in an environment of its own, because it pins what the rest does not
(SMARTSCOPE_REFERENCE_PYTHON names its Python; ``.ci/run`` makes it).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from smartscope.inference import Model, ModelPackage

MakeOnnx = Callable[..., Path]
REFERENCE = os.environ.get("SMARTSCOPE_REFERENCE_PYTHON")
SHARED_UNET = (
    Path(__file__).parents[3] / "shared" / "data" / "models" / "unet2d_nuclei_broad"
)
MOST_RELATIVE = 1e-4

pytestmark = [
    pytest.mark.skipif(
        not REFERENCE, reason="SMARTSCOPE_REFERENCE_PYTHON names no environment"
    ),
    pytest.mark.timeout(300),
]

IMAGE = np.random.default_rng(11).normal(50, 12, (1, 1, 24, 28)).astype(np.float32)

FLOAT = {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}
BEFORE: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "binarize": [{"id": "binarize", "kwargs": {"threshold": 51.0}}],
    "clip": [{"id": "clip", "kwargs": {"min": 40.0, "max": 60.0}}],
    "clip to percentiles": [
        {
            "id": "clip",
            "kwargs": {
                "min_percentile": 5.0,
                "max_percentile": 95.0,
                "axes": ["y", "x"],
            },
        }
    ],
    "ensure_dtype": [
        {"id": "ensure_dtype", "kwargs": {"dtype": "uint8"}},
        {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
    ],
    "fixed": [
        {"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 50.0, "std": 12.0}}
    ],
    "fixed along an axis": [
        {
            "id": "fixed_zero_mean_unit_variance",
            "kwargs": {"mean": [50.0], "std": [12.0], "axis": "channel"},
        }
    ],
    "linear": [{"id": "scale_linear", "kwargs": {"gain": 0.02, "offset": -1.0}}],
    "range": [{"id": "scale_range"}],
    "range of percentiles": [
        {
            "id": "scale_range",
            "kwargs": {
                "min_percentile": 2.0,
                "max_percentile": 99.8,
                "axes": ["y", "x"],
            },
        }
    ],
    "sigmoid": [
        {"id": "scale_linear", "kwargs": {"gain": 0.1, "offset": -5.0}},
        {"id": "sigmoid"},
    ],
    "softmax": [{"id": "softmax", "kwargs": {"axis": "x"}}],
    "zero mean": [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}],
    "zero mean of rows": [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["x"]}}],
}
AFTER: dict[str, list[dict[str, Any]]] = {
    f"after: {name}": steps
    for name, steps in BEFORE.items()
    # statistics of an output: the reference takes them of the input's raw sample
    if name in {"binarize", "clip", "fixed", "linear", "sigmoid", "softmax"}
}
LETTERS = {"NCHW": "bcyx", "NHWC": "byxc", "NCWH": "bcxy"}


def ask(reference: Path, jobs: list[tuple[Path, Path]]) -> None:
    """Run all packages in one go; starting it takes a second."""
    listed = reference / "jobs.json"
    listed.write_text(json.dumps([[str(a), str(b)] for a, b in jobs]), encoding="utf-8")
    script = Path(__file__).with_name("reference_bioimageio.py")
    environment = {
        **os.environ,
        "HOME": str(reference),
        "BIOIMAGEIO_CACHE_PATH": str(reference / "cache"),
    }
    done = subprocess.run(
        [str(REFERENCE), "-W", "ignore", str(script), str(listed)],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env=environment,
        cwd=reference,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def ours(package: Path) -> np.ndarray:
    loaded = ModelPackage.load(package)
    assert loaded.test_input is not None
    given = np.load(loaded.test_input)
    index = tuple(slice(None) if a in "yx" else 0 for a in loaded.input.letters)
    plane = given[index]
    if loaded.input.letters.index("y") > loaded.input.letters.index("x"):
        plane = plane.T
    model = Model(loaded, device="cpu")
    found: np.ndarray = model.predict(model.prepare(plane))
    return found


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    expected = expected.astype(np.float64)
    scale = max(float(np.abs(expected).max()), 1e-12)
    return float(np.abs(found.astype(np.float64) - expected).max()) / scale


def test_every_operation_and_order_of_axes(
    make_onnx: MakeOnnx, packages: ModuleType, tmp_path: Path
) -> None:
    made: dict[str, Path] = {}

    def make(name: str, letters: str = "bcyx", **steps: Any) -> None:
        folder = tmp_path / f"package{len(made)}"
        folder.mkdir()
        plane = (
            IMAGE[0, 0] if letters.index("y") < letters.index("x") else IMAGE[0, 0].T
        )
        given = plane[tuple(slice(None) if a in "yx" else None for a in letters)]
        make_onnx("weights.onnx", folder=folder, shape=given.shape)
        made[name] = packages.write_0_5(folder, given, given, letters=letters, **steps)

    for name, steps in BEFORE.items():
        # the reference hands on what comes out of a step: truth values, doubles
        make(name, before=[*steps, FLOAT])
    for name, steps in AFTER.items():
        make(name, after=steps)
    for name, letters in LETTERS.items():
        make(name, letters, before=[*BEFORE["range of percentiles"], FLOAT])
    old = tmp_path / "old"
    old.mkdir()
    make_onnx("weights.onnx", folder=old, shape=IMAGE.shape)
    made["0.4"] = packages.write_0_4(
        old,
        IMAGE,
        IMAGE,
        before=[
            {
                "name": "zero_mean_unit_variance",
                "kwargs": {"mode": "per_sample", "axes": "yx"},
            }
        ],
        after=[{"name": "sigmoid"}],
    )
    outputs = {name: tmp_path / f"{path.name}.npy" for name, path in made.items()}
    ask(tmp_path, [(made[name], outputs[name]) for name in made])
    deviations = {
        name: relative(ours(path), np.load(outputs[name]))
        for name, path in made.items()
    }
    assert not {n: d for n, d in deviations.items() if d > MOST_RELATIVE}


@pytest.mark.skipif(not SHARED_UNET.is_dir(), reason="the published model is not there")
def test_the_published_u_net(tmp_path: Path) -> None:
    ask(tmp_path, [(SHARED_UNET, tmp_path / "out.npy")])
    assert relative(ours(SHARED_UNET), np.load(tmp_path / "out.npy")) <= MOST_RELATIVE
