"""What one fused graph saves: frame in, candidates out, against the parts in numpy.

The net is the published U-Net where the folder of shared data lies beside the checkout
(``SMARTSCOPE_SHARED`` names it elsewhere), else one of its shape with drawn weights:
the time does not depend on what it has learned.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.bench.core import REFERENCE, CorePrediction
from smartscope.bench.u_net import save_u_net, with_size
from smartscope.inference import DetectSettings, ModelSession, Pipeline

_PUBLISHED = Path("data", "models", "unet2d_nuclei_broad", "weights.onnx")
_SHARED = "SMARTSCOPE_SHARED"
_THRESHOLD = 0.5
_WINDOW = 5  # pixels a peak is the largest of, as the head has it
_REACHED = 4  # times that the fastest time is reached again, within 3 %
_MOST_LONGER = 5  # times as many rounds as asked for, at most
_CARD = (
    "head: peaks\n"
    f"threshold: {_THRESHOLD}\n"
    "normalisation: zero_mean_unit_variance\n"
    "postprocessing: sigmoid\n"
)


def bench_inference(
    *,
    sizes: tuple[int, ...] = (512, 1024),
    rounds: int = 40,
    threads: int | None = None,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Measure a U-Net with the peaks head on uint16 frames.

    Both ways run in turn in one process, with the same threads and session options, and
    are warmed up. The bare way is `session.run` on the net as it was published, with
    zero mean and unit variance, sigmoid and the search for peaks in numpy and scipy.
    Where ``SMARTSCOPE_REFERENCE_PYTHON`` names an environment with bioimageio.core and
    the published package is there, that predicts in turn too, in the package's size:
    from counts to the map, without the peaks and without the halo around the image.

    Parameters
    ----------
    sizes : tuple of int
        Rows and columns of square frames.
    rounds : int
        Frames of each way and size that are measured at least; on a busy machine more,
        until the fastest have been reached several times.
    threads : int, optional
        Default: all cores, for no camera needs one here.
    device : str
        Of both ways.

    Returns
    -------
    list of dict
        For each size, the smallest first: ``size``; ``fused_ms`` and ``bare_ms``, the
        fastest rounds, as other work on the machine only slows, and the ``ratio`` of
        these; ``fused_p50_ms`` and ``bare_p50_ms``; ``python_p95_ms``, what a fused
        frame takes outside the runtime; ``parts_ms``, the medians of what the bare way
        does before, in and after the net; ``provider``, ``threads``, ``model``;
        ``fused``: it was one graph; ``same``: both found the same peaks. With
        bioimageio.core also ``core_ms``, its fastest round, ``core_ratio``, ours by
        that, ``core_p50_ms`` and ``core_version``.
    """
    threads = threads or _cores()
    published = _published()
    measured = []
    with tempfile.TemporaryDirectory(prefix="smartscope_bench_") as base:
        for size in sorted(sizes):
            path = Path(base) / f"net_{size}.onnx"
            if published is None:
                save_u_net(path, size)
            else:
                with_size(published, path, size)
            path.with_suffix(".yaml").write_text(_CARD, encoding="utf-8")
            frames = [nuclei((size, size), seed) for seed in range(4)]
            with ExitStack() as stack:
                core = None
                if published and os.environ.get(REFERENCE) and size == _size(published):
                    core = stack.enter_context(
                        CorePrediction(published.parent, frames, Path(base), threads)
                    )
                found = _measure(path, frames, rounds, threads, device, core)
            name = "built here" if published is None else published.parent.name
            measured.append({**found, "threads": threads, "model": name})
    return measured


def _measure(
    path: Path,
    frames: list[npt.NDArray[np.uint16]],
    rounds: int,
    threads: int,
    device: str,
    core: CorePrediction | None,
) -> dict[str, Any]:
    settings = DetectSettings.model_validate({"model": str(path), "device": device})
    fused = Pipeline.load(settings, threads=threads)
    session = ModelSession(path, name="bare", device=settings.device, threads=threads)
    fused_ms: list[float] = []
    core_ms: list[float] = []
    bare_ms: list[float] = []
    python_ms, parts_ms, same = [], [], True
    for i in range(-3, _MOST_LONGER * rounds):  # the first three warm up
        if i >= rounds and all(_settled(t) for t in (fused_ms, bare_ms, core_ms) if t):
            break
        frame = frames[i % len(frames)]
        began = time.perf_counter()
        inferred = fused.run(frame)
        took = (time.perf_counter() - began) * 1e3
        bare, parts = _bare(session, frame)
        predicted_ms = core.predict_ms(i % len(frames)) if core else None
        assert inferred.candidates is not None
        if i < 0:
            # rounding may turn a tie into two peaks, or two equal ones into one
            same &= _agree(inferred.candidates.positions, bare)
            continue
        fused_ms.append(took)
        python_ms.append(took - inferred.timings_ms["detect"])
        bare_ms.append(sum(parts))
        parts_ms.append(parts)
        if predicted_ms is not None:
            core_ms.append(predicted_ms)
    before, net, after = np.median(parts_ms, axis=0)
    compared: dict[str, Any] = {}
    if core is not None:
        compared = {
            "core_ms": min(core_ms),
            "core_p50_ms": float(np.median(core_ms)),
            "core_ratio": min(fused_ms) / min(core_ms),
            "core_version": core.version,
        }
    return {
        "size": frames[0].shape[0],
        "fused_ms": min(fused_ms),
        "bare_ms": min(bare_ms),
        "ratio": min(fused_ms) / min(bare_ms),
        "fused_p50_ms": float(np.median(fused_ms)),
        "bare_p50_ms": float(np.median(bare_ms)),
        "python_p95_ms": float(np.percentile(python_ms, 95)),
        "provider": session.obtained,
        "parts_ms": {"before": before, "net": net, "after": after},
        "fused": fused.unfused == "",
        "same": same,
        **compared,
    }


def _bare(
    session: ModelSession, frame: npt.NDArray[np.uint16]
) -> tuple[npt.NDArray[np.intp], tuple[float, float, float]]:
    """Look at a frame as one would without smartscope; return peaks and times in ms."""
    from scipy.ndimage import maximum_filter
    from scipy.special import expit

    began = time.perf_counter()
    image = frame.astype(np.float32)
    image = (image - image.mean()) / (image.std() + 1e-6)
    prepared = time.perf_counter()
    (logits,) = session.run({session.inputs[0]: image[None, None]})
    ran = time.perf_counter()
    score = expit(logits[0, 0])
    if not np.isfinite(score.sum()):
        raise ValueError("the net gave values that are not finite")
    peak = (score == maximum_filter(score, size=_WINDOW)) & (score > _THRESHOLD)
    places = np.argwhere(peak)
    places = places[np.argsort(-score[tuple(places.T)], kind="stable")]
    ended = time.perf_counter()
    return places, (
        (prepared - began) * 1e3,
        (ran - prepared) * 1e3,
        (ended - ran) * 1e3,
    )


def _settled(times_ms: list[float]) -> bool:
    """Return True if the fastest time was no stroke of luck."""
    fastest = sorted(times_ms)[: _REACHED + 1]
    return fastest[-1] <= 1.03 * fastest[0]


def _agree(ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> bool:
    """Return True if nine of ten peaks, of the best so many, are at the same pixels."""
    first = {tuple(p) for p in ours.tolist()}
    second = {tuple(p) for p in theirs.tolist()}
    larger = max(len(first), len(second), 1)
    # the fused way keeps the best 2048
    larger = min(larger, max(1, len(first)))
    return len(first & second) >= 0.9 * larger


def nuclei(shape: tuple[int, int], seed: int) -> npt.NDArray[np.uint16]:
    """Draw bright round things on a noisy ground, uint16."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    image = np.zeros(shape)
    count = shape[0] * shape[1] // 4096
    image[tuple(rng.integers(0, shape[0], (2, count)))] = 1
    bright = gaussian_filter(image, 7) * 2 * np.pi * 49
    return rng.poisson(100 + 300 * bright).astype(np.uint16)


def _published() -> Path | None:
    import smartscope

    beside = Path(smartscope.__file__).resolve().parents[2] / "shared"
    path = Path(os.environ.get(_SHARED) or beside) / _PUBLISHED
    return path if path.is_file() else None


def _size(net: Path) -> int:
    """Return the rows that a net was published for; 0 if for any."""
    import onnx

    (image, *_) = onnx.load(str(net)).graph.input
    return int(image.type.tensor_type.shape.dim[2].dim_value)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
