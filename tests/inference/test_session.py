"""Sessions: which device was asked for, which one was obtained, and silence."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from pydantic import ValidationError

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference import DetectSettings, ModelSession
from smartscope.inference.providers import CPU, CUDA, TENSORRT, NamedDevice
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


@pytest.mark.parametrize(
    ("device", "kind", "number"),
    [
        ("auto", "auto", 0),
        ("cpu", "cpu", 0),
        ("cuda", "cuda", 0),
        ("cuda:2", "cuda", 2),
        ("tensorrt:1", "tensorrt", 1),
    ],
)
def test_devices_are_read(device: str, kind: str, number: int) -> None:
    assert NamedDevice.parse(device) == NamedDevice(kind, number)
    assert DetectSettings(model="dog", device=device).device == device


@pytest.mark.parametrize("device", ["gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", ""])
def test_devices_there_are_none_of(device: str) -> None:
    with pytest.raises(Refused, match=r"There is no device.*cuda:N"):
        NamedDevice.parse(device)
    with pytest.raises(ValidationError, match="a device is auto, cpu"):
        DetectSettings(model="dog", device=device)


@pytest.mark.parametrize(
    ("device", "asked"),
    [
        ("cpu", [CPU]),
        ("auto", [CUDA, CPU]),
        ("cuda:3", [CUDA, CPU]),
        ("tensorrt:3", [TENSORRT, CUDA, CPU]),
    ],
)
def test_what_is_asked_of_onnxruntime(device: str, asked: list[str]) -> None:
    place = NamedDevice.parse(device)
    wanted = place.providers([TENSORRT, CUDA, CPU])
    assert [w if isinstance(w, str) else w[0] for w in wanted] == asked
    options = {w[0]: w[1] for w in wanted if not isinstance(w, str)}
    assert {o["device_id"] for o in options.values()} <= {place.number}
    if CUDA in options:
        # else float32 is cut to ten bits and no longer agrees with the CPU
        assert options[CUDA]["use_tf32"] == "0"
    # what it was not built with is not asked for: it would print and fall back
    assert place.providers([CPU]) == [CPU]


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tensorrt"])
def test_a_gpu_that_is_not_obtained_names_what_is_missing(
    make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    """A build with CUDA on a machine without a GPU gives the CPU without a word."""
    path, real = make_onnx(), ort.InferenceSession
    monkeypatch.setattr(ort, "get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    asked: list[Any] = []

    def falls_back(model: Any, options: Any, providers: list[Any]) -> Any:
        asked.extend(providers)
        return real(model, options, providers=[CPU])

    monkeypatch.setattr(ort, "InferenceSession", falls_back)
    kind = device.partition(":")[0]
    with pytest.raises(Refused, match=f"on '{device}'.* gave 'cpu': missing lib"):
        ModelSession(path, name="m", device=device)
    assert asked[0][0] == {"cuda": CUDA, "tensorrt": TENSORRT}[kind]
    session = ModelSession(path, name="m", device="auto")
    assert session.obtained == "cpu"
    assert "runs on the CPU: missing lib" in session.notice


def test_a_run_that_fails_on_a_gpu_does_not_go_on_elsewhere(
    make_onnx: MakeOnnx, capfd: pytest.CaptureFixture[str]
) -> None:
    """Onnxruntime would make a session on the CPU, print it, and give its result."""
    from onnxruntime.capi.onnxruntime_pybind11_state import EPFail

    session = ModelSession(make_onnx(), name="m", device="cpu")

    class Broken:
        def run(self, *_args: Any) -> Any:
            raise EPFail("CUDA failure 700: an illegal memory access")

        def is_webgpu_graph_capture_enabled(self) -> bool:
            return False

    session._session._sess = Broken()
    for _ in range(2):
        with pytest.raises(AnalysisFailed, match=r"model m failed .* CUDA failure 700"):
            session.run({"in0": np.zeros((1, 1, 4, 4), np.float32)})
    assert capfd.readouterr() == ("", "")
