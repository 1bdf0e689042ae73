"""How fast one model looks at frames on this machine, and what keeps it from more."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from smartscope.bench.inference import nuclei
from smartscope.bench.memory import rss_mb
from smartscope.bench.operations import operations_of
from smartscope.bench.profile import Profile, read_profile
from smartscope.errors import Refused
from smartscope.inference import (
    PROFILES,
    DetectSettings,
    ModelPackage,
    ModelSession,
    Pipeline,
    Planes,
)

Precision = Literal["float32", "float16"]

_SIZE = 512  # for models that take any
_BANK = 4  # different frames
_WARM = 3
_PROFILED = 12  # frames


def bench_model(
    name: str,
    *,
    sizes: Sequence[int] = (),
    device: str = "auto",
    precision: Precision = "float32",
    frames: int = 60,
) -> list[dict[str, Any]]:
    """Measure a model on frames of drawn nuclei, uint16.

    Parameters
    ----------
    name : str
        A shipped model, a package, or an ``.onnx`` with its card.
    sizes : Sequence of int
        Rows and columns of square frames; default: the size of the model's image, or
        512.
    device, precision
        As in the settings of an experiment.
    frames : int
        Of each size.

    Returns
    -------
    list of dict
        For each size ``p50_ms``, ``p95_ms``, ``p99_ms`` and ``fastest_ms`` of a frame
        and ``frames_per_s``, of the median; ``python_p95_ms``, outside the runtime;
        ``parts_ms``, from onnxruntime's profile of the fused graph as `Profile` has it,
        or of the parts if nothing was fused; ``fused``, and ``unfused``, why not.
        ``memory_mb``: what the process took until the model was warm, of the first
        with the libraries it needs. ``gflop``: operations of
        the net as published; ``gflop_per_s``: these over the time of the net;
        ``peak_gflop_per_s``: what one large convolution (64 channels, 3 × 3) reaches
        here, with the same device and threads; ``floor_ms``: the operations at that
        rate; ``times_floor``: the fastest frame over it. Below 1 is possible: a graph
        may be rewritten to need fewer operations. ``moved_mb``: what all operators read
        and write. What cannot be known is None.

    Raises
    ------
    smartscope.errors.Refused
        If the model cannot be loaded, or does not take such frames.
    """
    package = ModelPackage.load(name)
    measured = []
    for size in sizes or (_own_size(package),):
        before_mb = rss_mb()
        pipeline = _loaded(package, name, device, precision)
        bank = [_planes(pipeline, size, seed) for seed in range(_BANK)]
        pipeline.check(bank[0].shape)
        for given in bank[:_WARM]:
            pipeline.run(given)
        memory_mb = rss_mb() - before_mb
        took_ms, python_ms = [], []
        for i in range(frames):
            began = time.perf_counter()
            inferred = pipeline.run(bank[i % _BANK])
            took_ms.append((time.perf_counter() - began) * 1e3)
            python_ms.append(took_ms[-1] - inferred.timings_ms["detect"])
        profile = _profiled(package, name, device, precision, bank)
        parts = inferred.timings_ms if profile is None else profile.parts_ms
        p50, p95, p99 = np.percentile(took_ms, [50, 95, 99])
        model = pipeline.detect
        measured.append(
            {
                "model": package.name,
                "size": size,
                "device": model.obtained,
                "precision": precision,
                "threads": model.threads,
                "fused": pipeline.unfused == "",
                "unfused": pipeline.unfused,
                "p50_ms": float(p50),
                "p95_ms": float(p95),
                "p99_ms": float(p99),
                "fastest_ms": min(took_ms),
                "frames_per_s": 1e3 / float(p50),
                "python_p95_ms": float(np.percentile(python_ms, 95)),
                "parts_ms": dict(parts),
                "memory_mb": memory_mb,
                "moved_mb": None if profile is None else profile.bytes_moved / 1e6,
                **_floor(pipeline, size, min(took_ms), parts.get("net")),
                "notices": list(pipeline.notices),
            }
        )
    return measured


def _own_size(package: ModelPackage) -> int:
    """Return the size of the model's image if it is fixed, else a usual one."""
    axis = package.input.axis("y")
    return _SIZE if axis is None or axis.size is None else axis.size


def _loaded(
    package: ModelPackage, name: str, device: str, precision: Precision
) -> Pipeline:
    """Load a model; one that restores images, whose card has no head, gives a map."""
    asked = {"model": name, "device": device, "precision": precision}
    try:
        return Pipeline.load(DetectSettings.model_validate(asked))
    except ValidationError as e:
        raise Refused(
            f"There is no device '{device}'.",
            rule="Devices are auto, cpu, cuda, cuda:N, tensorrt and tensorrt:N.",
            way_out="Take 'auto', or run 'smartscope doctor' to see what is here.",
        ) from e
    except Refused:
        if package.head.head is not None or not {*"yx"} <= {*package.output.letters}:
            raise
        return Pipeline.load(
            DetectSettings.model_validate({**asked, "head": "components"})
        )


def _planes(pipeline: Pipeline, size: int, seed: int) -> Planes:
    count = pipeline.channels * pipeline.window
    return Planes(
        tuple(nuclei((size, size), count * seed + i) for i in range(count)),
        tuple(str(i) for i in range(pipeline.channels)),
    )


def _profiled(
    package: ModelPackage,
    name: str,
    device: str,
    precision: Precision,
    bank: list[Planes],
) -> Profile | None:
    """Run again with a profile, which takes time itself; None if nothing was fused."""
    with tempfile.TemporaryDirectory(prefix="smartscope_bench_") as folder:
        token = PROFILES.set(Path(folder))
        try:
            pipeline = _loaded(package, name, device, precision)
            for i in range(_PROFILED):
                pipeline.run(bank[i % _BANK])
        finally:
            PROFILES.reset(token)
        del pipeline
        gc.collect()  # a session writes its profile when it goes
        return read_profile(Path(folder))


def _floor(
    pipeline: Pipeline, size: int, fastest_ms: float, net_ms: float | None
) -> dict[str, float | None]:
    """Compare with the least time that the operations of the net can take."""
    model = pipeline.detect
    padded = model.padding(model.image_shape((size, size), None)).padded_shape
    count = operations_of(model.package.onnx.path, model.intake.lengths(padded))
    found: dict[str, float | None] = dict.fromkeys(
        ["gflop", "gflop_per_s", "peak_gflop_per_s", "floor_ms", "times_floor"]
    )
    if not count:
        return found
    peak = _peak(model.asked, model.threads)
    floor_ms = count / peak / 1e6
    return {
        "gflop": count / 1e9,
        "gflop_per_s": count / net_ms / 1e6 if net_ms else None,
        "peak_gflop_per_s": peak,
        "floor_ms": floor_ms,
        "times_floor": fastest_ms / floor_ms,
    }


def _peak(device: Any, threads: int | None) -> float:
    """Return the GFLOP/s of a row of large convolutions, the fastest of some runs."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    side, channels, row = 128, 64, 4
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 0.04, (channels, channels, 3, 3)).astype(np.float32)
    names = ["image", *(f"t{i}" for i in range(row))]
    nodes = [
        helper.make_node("Conv", [names[i], "w"], [names[i + 1]], pads=[1, 1, 1, 1])
        for i in range(row)
    ]
    nodes.append(helper.make_node("GlobalAveragePool", [names[-1]], ["mean"]))
    graph = helper.make_graph(
        nodes,
        "peak",
        [
            helper.make_tensor_value_info(
                "image", TensorProto.FLOAT, [1, channels, side, side]
            )
        ],
        [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [1, channels, 1, 1])],
        [numpy_helper.from_array(kernel, "w")],
    )
    made: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    session = ModelSession(
        made.SerializeToString(), name="peak", device=device, threads=threads
    )
    image = rng.normal(size=(1, channels, side, side)).astype(np.float32)
    took_s = []
    for _ in range(20):
        began = time.perf_counter()
        session.run({"image": image})
        took_s.append(time.perf_counter() - began)
    operations = 2 * row * kernel.size * side * side
    return operations / min(took_s) / 1e9
