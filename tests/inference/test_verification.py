"""A package that does not do what it says is found out before a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from smartscope.errors import Refused
from smartscope.inference import (
    DetectSettings,
    ModelPackage,
    require_reproduced,
    verify,
)
from smartscope.inference.bioimage import Tolerance
from smartscope.inference.deviation import compare
from smartscope.recognition import load_detector

MakeOnnx = Callable[..., Path]
IMAGE = np.random.default_rng(5).normal(100, 20, (1, 1, 32, 32)).astype(np.float32)
ZERO_MEAN = {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["x", "y"]}}
RIGHT = 1 / (1 + np.exp(-(IMAGE - IMAGE.mean()) / (IMAGE.std() + 1e-6)))


@pytest.fixture
def package(
    make_onnx: MakeOnnx, packages: ModuleType, tmp_path: Path
) -> Callable[..., Path]:
    def make(*, before: Any, expected: Any = RIGHT, **kwargs: Any) -> Path:
        folder = tmp_path / "package"
        folder.mkdir(exist_ok=True)
        make_onnx("weights.onnx", folder=folder, shape=IMAGE.shape, ops=["Sigmoid"])
        head = {"smartscope": {"head": "components"}}
        written: Path = packages.write_0_5(
            folder,
            IMAGE,
            np.asarray(expected, np.float32),
            before=before,
            **{"config": head, **kwargs},
        )
        return written

    return make


def test_shipped_models_reproduce_their_test_tensors() -> None:
    for name in ("dog", "gaussian"):
        verdict = verify(ModelPackage.load(name))
        assert verdict.state == "reproduced"
        assert verdict.relative < 1e-4


def test_right_pre_processing_reproduces(package: Callable[..., Path]) -> None:
    verdict = require_reproduced(ModelPackage.load(package(before=[ZERO_MEAN])))
    assert verdict.state == "reproduced"
    assert verdict.absolute < 1e-5
    assert verdict.told() == ""


def test_wrong_pre_processing_is_refused_and_told(package: Callable[..., Path]) -> None:
    """The real, common case: the description names another normalisation."""
    path = package(before=[{"id": "scale_linear", "kwargs": {"gain": 0.01}}])
    with pytest.raises(Refused) as refused:
        load_detector(DetectSettings(model=str(path), device="cpu"))
    said = str(refused.value)
    for words in ("expected 1 × 1 × 32 × 32", "found", "scale_linear gain=0.01"):
        assert words in said
    for words in ("bcyx", "opset 18", "--unverified", "models test"):
        assert words in refused.value.way_out


def test_unverified_takes_it_and_says_so(package: Callable[..., Path]) -> None:
    path = package(before=[{"id": "scale_linear", "kwargs": {"gain": 0.01}}])
    settings = DetectSettings(model=str(path), device="cpu")
    detector: Any = load_detector(settings, unverified=True)
    assert any("UNVERIFIED" in notice for notice in detector.notices)
    assert detector.models["detect"]["test_tensors"] == "not reproduced"


def test_a_verified_one_says_nothing(package: Callable[..., Path]) -> None:
    settings = DetectSettings(model=str(package(before=[ZERO_MEAN])), device="cpu")
    detector: Any = load_detector(settings, unverified=True)
    assert not any("UNVERIFIED" in notice for notice in detector.notices)
    assert detector.models["detect"]["test_tensors"] == "reproduced"


def test_without_test_tensors_it_is_untested(make_onnx: MakeOnnx) -> None:
    verdict = require_reproduced(ModelPackage.load(make_onnx()))
    assert verdict.state == "untested"
    assert "no test tensors" in verdict.reason


def test_a_test_tensor_of_another_size_deviates(package: Callable[..., Path]) -> None:
    path = package(before=[ZERO_MEAN])
    np.save(path / "test_output.npy", RIGHT[..., :-1])
    verdict = verify(ModelPackage.load(path))
    assert verdict.state == "not reproduced"
    assert verdict.to_record()["absolute"] is None


def test_a_broken_test_tensor_is_refused(package: Callable[..., Path]) -> None:
    path = package(before=[ZERO_MEAN])
    (path / "test_output.npy").write_bytes(b"\x93NUMPY broken")
    with pytest.raises(Refused, match="cannot be read"):
        verify(ModelPackage.load(path))


def test_the_check_runs_once(
    package: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = package(before=[ZERO_MEAN])
    first = verify(ModelPackage.load(path))
    monkeypatch.setattr("smartscope.inference.verification._verify", None)
    assert verify(ModelPackage.load(path)) is first


def test_the_package_may_allow_more(package: Callable[..., Path]) -> None:
    allowed = {"relative_tolerance": 0.01, "absolute_tolerance": 0.01}
    far = RIGHT + 0.006
    config = {
        "smartscope": {"head": "components"},
        "bioimageio": {"reproducibility_tolerance": [allowed]},
    }
    strict = verify(ModelPackage.load(package(before=[ZERO_MEAN], expected=far)))
    mild = package(before=[ZERO_MEAN], expected=far, config=config)
    assert strict.state == "not reproduced"
    assert verify(ModelPackage.load(mild)).state == "reproduced"


@pytest.mark.parametrize(
    ("found", "within"),
    [
        ([0.0, 1.0, 2.0], True),
        ([0.0, 1.0, 2.0005], True),
        ([0.0, 1.0, 2.1], False),
        ([0.0, 1.0, np.nan], False),
        ([0.0, 1.0, np.inf], False),
    ],
)
def test_compare(found: list[float], within: bool) -> None:
    expected = np.array([0.0, 1.0, 2.0])
    deviation = compare("map", expected, np.array(found), Tolerance())
    assert deviation.within is within
    assert deviation.relative == deviation.absolute / 2 or not np.isfinite(found[2])


def test_equal_infinities_are_equal() -> None:
    values = np.array([np.inf, -np.inf, 1.0])
    assert compare("map", values, values.copy(), Tolerance()).within


def test_a_tolerance_is_no_excuse_for_small_numbers() -> None:
    """An output of 1e-5 that should be 2e-5 is wrong, though 1e-3 would cover it."""
    small = np.full(100, 2e-5)
    assert not compare("map", small, small / 2, Tolerance()).within
