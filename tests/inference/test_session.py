"""Sessions: which device was asked for, which one was obtained, and silence."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference import ModelSession
from smartscope.inference.session import spare_threads

MakeOnnx = Callable[..., Path]

without_cuda = pytest.mark.skipif(
    "CUDAExecutionProvider" in ort.get_available_providers(),
    reason="this onnxruntime has CUDA",
)


def test_cpu_asked_and_obtained(make_onnx: MakeOnnx) -> None:
    session = ModelSession(make_onnx(), name="m", device="cpu")
    assert (session.asked, session.obtained, session.notice) == ("cpu", "cpu", "")
    assert (session.inputs, session.outputs) == (("in0",), ("out",))


@without_cuda
def test_auto_falls_back_and_says_so(
    make_onnx: MakeOnnx, capfd: pytest.CaptureFixture[str]
) -> None:
    session = ModelSession(make_onnx(), name="m", device="auto")
    assert (session.asked, session.obtained) == ("auto", "cpu")
    assert "runs on the CPU" in session.notice
    assert capfd.readouterr() == ("", "")


@without_cuda
def test_cuda_that_is_not_there_is_refused(make_onnx: MakeOnnx) -> None:
    with pytest.raises(Refused, match=r"without CUDA.*smartscope\[gpu\]"):
        ModelSession(make_onnx(), name="m", device="cuda")


def test_onnxruntime_missing(
    make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def no_runtime(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_runtime)
    with pytest.raises(Refused, match=r'pip install "smartscope\[cpu\]"'):
        ModelSession(make_onnx(), name="m")


def test_failure_in_the_runtime_is_told_and_quiet(
    make_onnx: MakeOnnx, capfd: pytest.CaptureFixture[str]
) -> None:
    session = ModelSession(make_onnx(shape=(1, 1, 8, 8)), name="m", device="cpu")
    with pytest.raises(AnalysisFailed, match="The model m failed on an image"):
        session.run({"in0": np.zeros((1, 1, 9, 8), np.float32)})
    assert capfd.readouterr() == ("", "")


def test_the_camera_keeps_a_core() -> None:
    assert spare_threads() >= 1
