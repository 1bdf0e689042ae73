"""Bound inputs and outputs, CUDA graphs, and what is asked of onnxruntime for them.

There is no GPU here: a session that says it is one runs on the CPU, and its values lie
there. What is asked is real, and so are the results.
"""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from smartscope.errors import AnalysisFailed
from smartscope.inference import DenoiseSettings, DetectSettings, ModelSession, Pipeline
from smartscope.inference import page_lock as locking
from smartscope.inference.bound import BoundRun, can_bind
from smartscope.inference.graph import GraphTail
from smartscope.inference.page_lock import page_locked
from smartscope.inference.providers import CPU, CUDA
from smartscope.inference.settings import NormalisationSettings

_SPEC = importlib.util.spec_from_file_location(
    "tiny_models", Path(__file__).with_name("tiny_models.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
tiny_models = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(tiny_models)

THREE = np.full(1, 3, np.float32)


class PretendedGpu:
    """Sessions that ran on it, and what they were asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[Any], dict[str, Any]]] = []
        self.values: list[tuple[str, int]] = []
        self.runs: list[str] = []
        self.records = True  # False: not every operator runs on the GPU
        self.fails_at_first = False  # True: what was recorded cannot be run
        self.obtained = True  # False: onnxruntime falls back to the CPU
        self.sessions: list[Any] = []


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> PretendedGpu:
    there = PretendedGpu()

    class Session(ort.InferenceSession):  # type: ignore[misc]  # it has no stubs
        def __init__(
            self, source: Any, options: Any, providers: list[Any], **more: Any
        ) -> None:
            there.asked.append((providers, more))
            there.sessions.append(self)
            self.there = providers[0] != CPU and there.obtained
            self.recording = self.there and "enable_cuda_graph" in providers[0][1]
            if self.recording and not there.records:
                raise RuntimeError("This session cannot use the graph capture feature")
            super().__init__(source, options, providers=[CPU])

        def get_providers(self) -> list[str]:
            return [CUDA, CPU] if self.there else [CPU]

        def run_with_iobinding(self, binding: Any, run_options: Any = None) -> None:
            if self.recording and there.fails_at_first:
                raise RuntimeError("CUDA error 900")
            there.runs.append("recorded" if self.recording else "bound")
            super().run_with_iobinding(binding, run_options)

        def run(self, *args: Any) -> Any:
            there.runs.append("plain" if self.there else "elsewhere")
            return super().run(*args)

    real = ort.OrtValue.ortvalue_from_shape_and_type

    def on_the_cpu(shape: Any, dtype: Any, device: str, number: int) -> Any:
        there.values.append((device, number))
        return real(shape, dtype, "cpu", 0)

    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(ort, "InferenceSession", Session)
    monkeypatch.setattr(ort.OrtValue, "ortvalue_from_shape_and_type", on_the_cpu)
    return there


def _doubling(shape: tuple[Any, ...] = (4, 5)) -> bytes:
    tail = GraphTail(18)
    image = tail.cast(tail.input("image", shape, "uint16"), "float32")
    tail.output(
        tail.node("Mul", [image, tail.input("by", [1])]), "out", "float32", shape
    )
    tail.output(tail.node("ReduceSum", [image], keepdims=0), "sum", "float32", [])
    return tail.serialized()


def _bound(session: Any) -> BoundRun:
    return BoundRun(ort, session, device="cpu")


@pytest.fixture
def doubling() -> Any:
    return ort.InferenceSession(_doubling(), providers=[CPU])


def test_bound_runs_give_what_runs_give(doubling: Any) -> None:
    bound = _bound(doubling)
    rng = np.random.default_rng(0)
    kept = []
    for by in (2.0, 2.0, 3.0, 2.0):
        feeds = {
            "image": rng.integers(0, 999, (4, 5), np.uint16),
            "by": np.array([by], np.float32),
        }
        kept.append(
            (bound.run(feeds, ["sum", "out"]), doubling.run(["sum", "out"], feeds))
        )
    # what came back is the caller's own: the runs after it did not write into it
    for got, expected in kept:
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_read_only_frames_are_taken(doubling: Any) -> None:
    image = np.ones((4, 5), np.uint16)
    image.flags.writeable = False  # as the ring hands them out
    out, total = _bound(doubling).run({"image": image, "by": np.ones(1, np.float32)})
    assert (out == 1).all()
    assert total == 20


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 6), np.uint16),
        np.zeros((5, 4), np.uint16),
        np.zeros((4, 5), np.float32),  # onnxruntime itself would copy the bytes
        np.zeros((4, 5), np.int16),
    ],
)
def test_another_shape_or_dtype_is_not_copied(doubling: Any, image: Any) -> None:
    with pytest.raises(ValueError, match="bound are"):
        _bound(doubling).run({"image": image, "by": np.ones(1, np.float32)})


def test_inputs_are_all_given_and_known(doubling: Any) -> None:
    with pytest.raises(ValueError, match="bound are"):
        _bound(doubling).run({"image": np.zeros((4, 5), np.uint16)})


def test_free_shapes_are_not_bound() -> None:
    free = ort.InferenceSession(_doubling(("y", "x")), providers=[CPU])
    assert not can_bind(free)


def test_a_graph_is_recorded_before_the_first_frame(gpu: PretendedGpu) -> None:
    session = ModelSession(_doubling(), name="m", device="cuda:1", fixed=True)
    ((providers, more),) = gpu.asked
    assert providers[0][0] == CUDA
    assert providers[0][1]["enable_cuda_graph"] == "1"
    assert providers[0][1]["device_id"] == 1
    assert more == {"enable_fallback": 0}  # else it would run on the CPU, silently
    assert set(gpu.values) == {("cuda", 1)}
    assert gpu.runs == ["recorded"]
    assert (session.obtained, session.bound, session.recorded) == ("cuda", True, True)
    feeds = {"image": np.ones((4, 5), np.uint16), "by": THREE}
    assert (session.run(feeds, ["out"])[0] == 3).all()
    assert gpu.runs == ["recorded"] * 2


@pytest.mark.parametrize(
    "why", ["an operator runs on the CPU", "it cannot be repeated"]
)
def test_what_cannot_be_recorded_is_bound(gpu: PretendedGpu, why: str) -> None:
    gpu.records = why != "an operator runs on the CPU"
    gpu.fails_at_first = why == "it cannot be repeated"
    session = ModelSession(_doubling(), name="m", device="cuda", fixed=True)
    assert "enable_cuda_graph" not in gpu.asked[-1][0][0][1]
    assert (session.bound, session.recorded) == (True, False)
    feeds = {"image": np.ones((4, 5), np.uint16), "by": THREE}
    assert (session.run(feeds, ["out"])[0] == 3).all()
    assert gpu.runs == ["bound"]


def test_free_shapes_run_unbound_on_a_gpu(gpu: PretendedGpu) -> None:
    session = ModelSession(_doubling(("y", "x")), name="m", device="cuda", fixed=True)
    assert (session.bound, session.recorded) == (False, False)
    feeds = {"image": np.ones((2, 3), np.uint16), "by": THREE}
    assert session.run(feeds, ["sum"])[0] == 6
    assert gpu.runs == ["plain"]


def test_parts_are_not_bound(gpu: PretendedGpu) -> None:
    session = ModelSession(_doubling(), name="m", device="cuda")
    assert not session.bound
    assert len(gpu.asked) == 1
    assert "enable_cuda_graph" not in gpu.asked[0][0][0][1]


def test_a_wrong_frame_is_told_as_a_failure_of_the_model(gpu: PretendedGpu) -> None:
    session = ModelSession(_doubling(), name="m", device="cuda", fixed=True)
    with pytest.raises(AnalysisFailed, match="The model m failed on an image"):
        session.run({"image": np.ones((4, 6), np.uint16), "by": np.ones(1, np.float32)})


@pytest.mark.parametrize("denoise", [False, True])
def test_a_pipeline_on_a_gpu_finds_what_one_on_the_cpu_finds(
    gpu: PretendedGpu, denoise: bool
) -> None:
    """All of it: known shapes, ordered peaks, bound values, the recorded graph."""

    def loaded(device: str) -> Pipeline:
        return Pipeline.load(
            DetectSettings(model="dog", device=device),
            DenoiseSettings(model="gaussian", device=device) if denoise else None,
            threads=1,
        )

    rng = np.random.default_rng(0)
    on_gpu, on_cpu = loaded("cuda"), loaded("cpu")
    for _ in range(3):
        frame = rng.poisson(40, (70, 90)).astype(np.uint16)
        frame[20:23, 30:33] += 600
        got, expected = on_gpu.run(frame), on_cpu.run(frame)
        assert on_gpu.unfused == ""
        assert got.candidates is not None
        assert expected.candidates is not None
        assert len(expected.candidates) > 0
        np.testing.assert_array_equal(
            got.candidates.positions, expected.candidates.positions
        )
        np.testing.assert_array_equal(
            got.candidates.crosses, expected.candidates.crosses
        )
    assert gpu.runs.count("recorded") == 4  # once for itself, then each frame


@pytest.mark.parametrize("head", ["components", "peaks of classes"])
def test_other_heads_on_a_gpu(gpu: PretendedGpu, head: str, tmp_path: Path) -> None:
    card = {"head": "components"}
    if head != "components":
        card = {"head": "peaks", "classes": ["a", "b", "c"]}
    channels = 1 if head == "components" else 3
    path = tiny_models.write_map_net(tmp_path / "net.onnx", channels, card)
    rng = np.random.default_rng(1)
    frame = rng.choice(np.array([0, 100, 200, 300], np.uint16), (33, 41))
    given = []
    for device in ("cuda", "cpu"):
        pipeline = Pipeline.load(DetectSettings(model=str(path), device=device))
        given.append(pipeline.run(frame))
        assert pipeline.unfused == ""
    got, expected = given
    if expected.map is not None:
        assert got.map is not None
        np.testing.assert_array_equal(got.map, expected.map)
    else:
        assert expected.outputs
        for name, array in expected.outputs.items():
            assert len(array) > 0
            np.testing.assert_array_equal(got.outputs[name], array)
    assert gpu.runs.count("recorded") == 2


def test_statistics_of_a_series_go_in_anew_with_each_frame(
    gpu: PretendedGpu, tmp_path: Path
) -> None:
    card = {"head": "components", "normalisation": [{"id": "zero_mean_unit_variance"}]}
    path = tiny_models.write_map_net(tmp_path / "net.onnx", 1, card)
    over = NormalisationSettings(over="running", frames=3)
    on_gpu, on_cpu = (
        Pipeline.load(
            DetectSettings(model=str(path), device=device, normalisation=over),
            threads=1,
        )
        for device in ("cuda", "cpu")
    )
    rng = np.random.default_rng(2)
    seen = []
    for light in (40, 400, 400, 100):
        frame = rng.poisson(light, (40, 50)).astype(np.uint16)
        got, expected = on_gpu.run(frame).map, on_cpu.run(frame).map
        assert got is not None
        assert expected is not None
        np.testing.assert_array_equal(got, expected)
        seen.append(on_gpu.state())
    assert len({str(state) for state in seen}) == len(seen)
    assert on_gpu.unfused == ""
    assert gpu.runs.count("recorded") == 5


def test_a_gpu_that_is_not_obtained_leaves_the_graph_of_a_cpu(
    gpu: PretendedGpu,
) -> None:
    gpu.obtained = False
    pipeline = Pipeline.load(DetectSettings(model="dog", device="auto"), threads=1)
    given = pipeline.run(np.zeros((40, 50), np.uint16))
    assert given.candidates is not None
    # the one that runs lists candidates, as many as there are
    shapes = [o.shape for o in gpu.sessions[-1].get_outputs()]
    assert any(not isinstance(n, int) for shape in shapes for n in shape)
    assert not any(run in gpu.runs for run in ("recorded", "bound"))


class PretendedRuntime:
    """What is asked of the CUDA runtime."""

    def __init__(self, answer: int = 0) -> None:
        self.answer = answer
        self.calls: list[tuple[str, int | None]] = []

    def cudaHostRegister(self, address: Any, size: Any, flags: Any) -> int:
        assert size.value == 64
        assert flags.value == 1
        self.calls.append(("lock", address.value))
        return self.answer

    def cudaHostUnregister(self, address: Any) -> int:
        self.calls.append(("unlock", address.value))
        return 0

    def cudaGetLastError(self) -> int:
        self.calls.append(("forget", None))
        return 0


@pytest.fixture
def memory() -> bytearray:
    return bytearray(64)


def test_memory_is_locked_and_given_back(
    memory: bytearray, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = PretendedRuntime()
    monkeypatch.setattr(locking, "_loaded_runtime", lambda: runtime)
    at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    with page_locked(memory) as locked:
        assert locked
        assert runtime.calls == [("lock", at)]
    assert runtime.calls == [("lock", at), ("unlock", at)]


def test_memory_that_cannot_be_locked_is_used_as_it_is(
    memory: bytearray, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = PretendedRuntime(answer=712)
    monkeypatch.setattr(locking, "_loaded_runtime", lambda: runtime)
    with page_locked(memory) as locked:
        assert not locked
    assert [name for name, _ in runtime.calls] == ["lock", "forget"]


def test_nothing_keeps_the_memory(
    memory: bytearray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "_loaded_runtime", PretendedRuntime)
    with page_locked(memory):
        memory.extend(b"more")  # raises if anybody still looks at it


def test_without_a_cuda_runtime_nothing_is_locked(
    memory: bytearray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "_RUNTIMES", ("libcudart.so.0",))
    with page_locked(memory) as locked:
        assert not locked
