"""The bench of inference compares two ways that find the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from smartscope.bench.inference import bench_inference, nuclei
from smartscope.bench.u_net import save_u_net, with_size


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
