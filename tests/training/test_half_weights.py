"""Weights in half precision: smaller on disk, and what is reckoned stays the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")

import onnx  # noqa: E402  # only where torch is
import onnxruntime  # noqa: E402

from smartscope.inference.receptive_field import ReceptiveField  # noqa: E402
from smartscope.inference.stored_weights import read_graph  # noqa: E402
from smartscope.training.export import write_onnx  # noqa: E402
from smartscope.training.half_weights import rounded, store_halves  # noqa: E402
from smartscope.training.star_net import StarNet, StarPackage  # noqa: E402
from smartscope.training.start import Start  # noqa: E402

FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def written(path: Path, net: torch.nn.Module) -> Path:
    outputs = ("probability", "rays")
    write_onnx(net, path, outputs, channels=1, step=16, around=(0.3, 0.3))
    return path


def given(path: Path) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    image = np.random.default_rng(3).normal(0.3, 0.3, (1, 1, 96, 64)).astype("f4")
    return session.run(None, {"image": image})


def test_a_rounded_net_is_stored_in_half_the_size_and_gives_the_same(
    tmp_path: Path,
) -> None:
    torch.manual_seed(1)
    net = StarNet(32, "small").eval()
    path = written(tmp_path / "made.onnx", StarPackage(net))
    numbers = sum(p.numel() for p in net.parameters())
    assert path.stat().st_size < 2.2 * numbers + 60_000
    with torch.no_grad():
        image = np.random.default_rng(3).normal(0.3, 0.3, (1, 1, 96, 64)).astype("f4")
        wanted = StarPackage(net)(torch.from_numpy(image))
    for one, other in zip(given(path), wanted, strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-4, atol=1e-4)
    # and how far it sees can still be read off, so that frames can be cut into tiles
    field = ReceptiveField.of(read_graph(path))
    assert field is not None
    assert field.coarsest == 16


def test_what_half_precision_does_not_hold_stays_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = torch.nn.Conv2d(1, 40, 3, padding=1).eval()
    kept = []
    for one in (net, rounded(net)):
        path = tmp_path / "made.onnx"
        write_onnx(one, path, ("made",), channels=1, step=1, around=(0.0, 1.0))
        kept.append({t.data_type for t in onnx.load(path).graph.initializer})
        assert store_halves(path) == 0  # what could be is stored so already
    assert kept == [{FLOAT}, {FLOAT, HALF}]


def test_another_training_can_begin_with_what_was_stored(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = rounded(StarNet(16, "small"))
    path = written(tmp_path / "made.onnx", StarPackage(net))
    start = Start(str(path), _weights(path), {})
    fitted = start.fitted(StarNet(16, "small"))
    for name, value in net.state_dict().items():
        if "num_batches" not in name:
            torch.testing.assert_close(fitted[name], value)


def _weights(path: Path) -> dict[str, torch.Tensor]:
    from smartscope.training.start import _of_graph

    return _of_graph(path)


def test_rays_are_longer_by_what_was_found_best() -> None:
    torch.manual_seed(1)
    net = StarNet(16, "small").eval()
    image = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        likely, rays = StarPackage(net)(image)
        as_likely, longer = StarPackage(net, 0.75)(image)
    torch.testing.assert_close(longer, rays + 0.75)
    torch.testing.assert_close(as_likely, likely)
