"""The bench of inference compares two ways that find the same."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from smartscope.bench.core import REFERENCE, CorePrediction
from smartscope.bench.inference import bench_inference, nuclei
from smartscope.bench.u_net import save_u_net, with_size
from smartscope.errors import Refused

SHARED = Path(__file__).parents[3] / "shared"


def test_a_small_bench_checks_what_it_measures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SMARTSCOPE_SHARED", str(tmp_path))  # nothing is published there
    told = bench_inference(sizes=(128, 64), rounds=2, threads=1)
    assert [t["size"] for t in told] == [64, 128]
    for each in told:
        assert each["fused"]
        assert each["same"]
        assert each["model"] == "built here"
        assert each["provider"] == "cpu"
        assert each["ratio"] == each["fused_ms"] / each["bare_ms"]
        assert each["fused_ms"] > each["python_p95_ms"] > 0
    json.dumps(told)


def test_a_published_net_is_taken_for_every_size(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "models" / "unet2d_nuclei_broad"
    folder.mkdir(parents=True)
    save_u_net(folder / "weights.onnx", 32)
    monkeypatch.setenv("SMARTSCOPE_SHARED", str(tmp_path))
    (told,) = bench_inference(sizes=(64,), rounds=1, threads=1)
    assert told["model"] == "unet2d_nuclei_broad"
    assert told["same"]


def test_a_net_of_another_size_keeps_its_weights(tmp_path: Path) -> None:
    save_u_net(tmp_path / "a.onnx", 32)
    with_size(tmp_path / "a.onnx", tmp_path / "b.onnx", 48)
    small, large = (onnx.load(str(tmp_path / f"{n}.onnx")) for n in "ab")
    assert small.graph.initializer == large.graph.initializer
    shape = large.graph.input[0].type.tensor_type.shape
    assert [d.dim_value for d in shape.dim] == [1, 1, 48, 48]
    onnx.checker.check_model(large, full_check=True)


def test_frames_are_drawn_the_same_again() -> None:
    np.testing.assert_array_equal(nuclei((64, 64), 1), nuclei((64, 64), 1))
    assert nuclei((64, 64), 1).dtype == np.uint16


@pytest.mark.skipif(
    not (os.environ.get(REFERENCE) and (SHARED / "data" / "models").is_dir()),
    reason=f"{REFERENCE} names no environment, or nothing published lies beside",
)
@pytest.mark.timeout(300)
def test_bioimageio_core_predicts_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    # an installed smartscope does not lie beside it
    monkeypatch.setenv("SMARTSCOPE_SHARED", str(SHARED))
    (told,) = bench_inference(sizes=(512,), rounds=2, threads=1)
    assert told["core_ratio"] == told["fused_ms"] / told["core_ms"]
    assert told["core_version"].startswith("0.")


@pytest.mark.skipif(os.name != "posix", reason="a script stands for that Python")
def test_an_environment_without_core_is_refused_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no core here >&2\nexit 1\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv(REFERENCE, str(broken))
    with pytest.raises(Refused, match="no core here") as refused:
        CorePrediction(tmp_path, [nuclei((8, 8), 0)], tmp_path, 1)
    assert REFERENCE in refused.value.way_out
