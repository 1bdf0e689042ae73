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

from smartscope.inference import Model, ModelPackage, verify
from smartscope.inference.normalize import chain

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
    # statistics of an output: see ALONE
    if name in {"binarize", "clip", "fixed", "linear", "sigmoid", "softmax"}
}


def step(name: str, **kwargs: Any) -> dict[str, Any]:
    return {"id": name, "kwargs": kwargs} if kwargs else {"id": name}


YX = ["y", "x"]
MEAN, RANGE = "zero_mean_unit_variance", "scale_range"
CUT = step("clip", min=45.0, max=55.0)
DOUBLE = step("scale_linear", gain=2.0, offset=5.0)
ENDS = {"min_percentile": 1.0, "max_percentile": 99.0}
CHAINS: dict[str, list[dict[str, Any]]] = {
    # the reference measures an input once, before its steps; it does not hand on the
    # eps of these two (0.11), so no other one than its default is compared
    "cut, then mean": [CUT, step(MEAN, axes=YX)],
    "double, then mean": [DOUBLE, step(MEAN, axes=YX)],
    "cut, then range": [CUT, step(RANGE, axes=YX, **ENDS)],
    "range, then percentiles": [
        step(RANGE, axes=YX),
        step("clip", axes=YX, min_percentile=5.0, max_percentile=95.0),
    ],
    "range, cut, sigmoid": [
        step(RANGE, axes=YX, **ENDS),
        step("clip", min=0.0, max=1.0),
        step("sigmoid"),
    ],
    "mean of all": [step(MEAN)],
    "mean of a batch": [step(MEAN, axes=["batch", *YX])],
    "percentiles of a batch": [
        step("clip", axes=["batch", *YX], min_percentile=5.0, max_percentile=95.0)
    ],
    "range of channels": [step(RANGE, axes=["channel", *YX])],
    "range of rows": [step(RANGE, axes=["x"], **ENDS)],
    "range by itself": [DOUBLE, step(RANGE, axes=YX, reference_tensor="raw")],
    "a narrow deviation": [step("fixed_zero_mean_unit_variance", mean=50.0, std=1e-3)],
    "linear by channel": [
        step("scale_linear", gain=[2.0, 3.0], offset=[1.0, 0.0], axis="channel")
    ],
    "fixed by channel": [
        step(
            "fixed_zero_mean_unit_variance",
            mean=[50.0, 40.0],
            std=[12.0, 9.0],
            axis="channel",
        )
    ],
    "truth": [step("ensure_dtype", dtype="bool")],
    "small numbers": [step("ensure_dtype", dtype="int8")],
}
CHAINS_AFTER: dict[str, list[dict[str, Any]]] = {
    "after: range by the input": [step(RANGE, axes=YX, reference_tensor="raw", **ENDS)],
    "after: range by all of the input": [step(RANGE, reference_tensor="raw")],
    "after: softmax of channels": [step("softmax", axis="channel")],
    "after: linear by channel": CHAINS["linear by channel"],
    "after: sigmoid, then truth": [step("sigmoid"), step("binarize", threshold=0.7)],
}
ALONE: dict[str, list[dict[str, Any]]] = {
    "mean and variance of the input": [
        step("scale_mean_variance", reference_tensor="raw", axes=YX)
    ],
    "mean and variance of all of the input": [
        step("scale_mean_variance", reference_tensor="raw", eps=0.01)
    ],
    "range by the input": [step(RANGE, reference_tensor="raw", axes=YX, **ENDS)],
    "range of itself": [step(RANGE, axes=YX, **ENDS)],
    "mean of itself": [step(MEAN, axes=YX)],
    "percentiles of itself": [step("clip", axes=YX, min_percentile=10.0)],
}
SAMPLE, DATASET = {"mode": "per_sample"}, {"mode": "per_dataset"}


def old(name: str, **kwargs: Any) -> dict[str, Any]:
    return {"name": name, "kwargs": kwargs}


OLD: dict[str, dict[str, list[dict[str, Any]]]] = {
    "0.4: mean of a data set": {"before": [old(MEAN, axes="yx", **DATASET)]},
    "0.4: cut, then range": {
        "before": [old("clip", min=45, max=55), old(RANGE, axes="yx", **SAMPLE, **ENDS)]
    },
    "0.4: range of channels": {"before": [old(RANGE, axes="cyx", **SAMPLE)]},
    "0.4: fixed by channel": {
        "before": [
            old(MEAN, mode="fixed", axes="yx", mean=[50.0, 40.0], std=[12.0, 9.0])
        ]
    },
    "0.4: range by the input": {
        "before": [old("scale_linear", gain=2.0, offset=5.0)],
        "after": [old(RANGE, axes="yx", reference_tensor="raw", **SAMPLE)],
    },
    "0.4: truth": {"after": [old("binarize", threshold=50.0)]},
}
TWO = np.random.default_rng(12).normal(50, 12, (1, 2, 24, 28)).astype(np.float32)
OUTPUT = np.random.default_rng(13).gamma(2, 3, TWO.shape).astype(np.float32)
LETTERS = {"NCHW": "bcyx", "NHWC": "byxc", "NCWH": "bcxy"}


def ask(reference: Path, jobs: list[tuple[Path, Path]], *, alone: bool = False) -> None:
    """Run all packages in one go; starting it takes a second."""
    listed = reference / "jobs.json"
    told = [[str(a), str(b), alone] for a, b in jobs]
    listed.write_text(json.dumps(told), encoding="utf-8")
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


def test_chains_of_two_channels(
    make_onnx: MakeOnnx, packages: ModuleType, tmp_path: Path
) -> None:
    """What the reference gives becomes the test output, and is reproduced."""
    made: dict[str, Path] = {}

    def make(name: str, write: Any = packages.write_0_5, **steps: Any) -> None:
        folder = tmp_path / f"package{len(made)}"
        folder.mkdir()
        make_onnx("weights.onnx", folder=folder, shape=TWO.shape)
        made[name] = write(folder, TWO, TWO, **steps)

    for name, steps in CHAINS.items():
        make(name, before=[*steps, FLOAT])
    for name, steps in CHAINS_AFTER.items():
        make(name, before=[DOUBLE, FLOAT], after=steps)
    for name, both in OLD.items():
        make(name, packages.write_0_4, **both)
    ask(tmp_path, [(p, p / "test_output.npy") for p in made.values()])
    verdicts = {n: verify(ModelPackage.load(p)) for n, p in made.items()}
    assert not [n for n, v in verdicts.items() if v.state == "untested"]
    deviations = {n: v.relative for n, v in verdicts.items()}
    assert not {n: d for n, d in deviations.items() if not d <= MOST_RELATIVE}


def test_statistics_of_an_output(
    make_onnx: MakeOnnx, packages: ModuleType, tmp_path: Path
) -> None:
    """The operations of the reference by themselves: its pipeline cannot do these."""
    made: dict[str, Path] = {}
    for name, steps in ALONE.items():
        folder = tmp_path / f"package{len(made)}"
        folder.mkdir()
        make_onnx("weights.onnx", folder=folder, shape=TWO.shape)
        made[name] = packages.write_0_5(folder, TWO, OUTPUT, after=steps)
    ask(tmp_path, [(p, p / "core.npy") for p in made.values()], alone=True)
    for name, path in made.items():
        output = ModelPackage.load(path).output
        found = chain(output.steps, output.letters)(OUTPUT, {"raw": TWO})
        assert relative(found, np.load(path / "core.npy")) <= MOST_RELATIVE, name


@pytest.mark.skipif(not SHARED_UNET.is_dir(), reason="the published model is not there")
def test_the_published_u_net(tmp_path: Path) -> None:
    ask(tmp_path, [(SHARED_UNET, tmp_path / "out.npy")])
    assert relative(ours(SHARED_UNET), np.load(tmp_path / "out.npy")) <= MOST_RELATIVE
