"""Of which tensor a package's and a card's steps take their statistics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from smartscope.errors import Refused
from smartscope.inference import ModelPackage, verify
from smartscope.inference.normalize import UNPROCESSED, chain, needs_reference
from smartscope.inference.packing import pack
from smartscope.inference.scaling import Scaling

MakeOnnx = Callable[..., Path]
IMAGE = np.random.default_rng(5).normal(100, 20, (1, 1, 16, 24)).astype(np.float32)
CUT = {"id": "clip", "kwargs": {"min": 90.0, "max": 110.0}}
FLOAT = {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}
MEAN = {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}
TO_INPUT = {
    "id": "scale_mean_variance",
    "kwargs": {"axes": ["y", "x"], "reference_tensor": "raw"},
}


@pytest.fixture
def described(make_onnx: MakeOnnx, packages: ModuleType, tmp_path: Path) -> Any:
    def make(expected: np.ndarray = IMAGE, *, old: bool = False, **steps: Any) -> Path:
        folder = tmp_path / "package"
        folder.mkdir()
        make_onnx(
            "weights.onnx",
            folder=folder,
            shape=IMAGE.shape,
            out_shape=expected.shape,
            ops=[("Mul", np.ones(expected.shape, np.float32))],
        )
        write = packages.write_0_4 if old else packages.write_0_5
        made: Path = write(folder, IMAGE, expected, **steps)
        return made

    return make


@pytest.fixture
def bare(make_onnx: MakeOnnx) -> Callable[..., Path]:
    def make(**card: Any) -> Path:
        path = make_onnx()
        told = {"head": "components", **card}
        path.with_suffix(".yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
        return path

    return make


def references(package: ModelPackage) -> list[Any]:
    # the specification puts changes of dtype around the steps
    steps = [s for s in package.input.steps if s.id != "ensure_dtype"]
    return [s.kwargs.get("reference_tensor") for s in steps]


def test_a_package_measures_its_input_before_any_step(
    described: Callable[..., Path],
) -> None:
    cut = IMAGE.clip(90, 110)
    expected = (cut - IMAGE.mean()) / (IMAGE.std() + 1e-6)
    package = ModelPackage.load(described(expected, before=[CUT, MEAN]))
    assert references(package) == [None, UNPROCESSED]
    assert verify(package).state == "reproduced"


def test_a_change_of_dtype_changes_nothing(described: Callable[..., Path]) -> None:
    package = ModelPackage.load(described(before=[FLOAT, MEAN]))
    assert references(package) == [None]


def test_a_card_measures_what_the_step_before_left(bare: Callable[..., Path]) -> None:
    package = ModelPackage.load(bare(normalisation=[CUT, MEAN]))
    found = chain(package.input.steps, package.input.letters)(IMAGE)
    cut = IMAGE.clip(90, 110)
    np.testing.assert_allclose(found, (cut - cut.mean()) / cut.std(), atol=1e-4)


def test_a_card_may_ask_for_the_unprocessed_input(bare: Callable[..., Path]) -> None:
    by_itself = {"id": MEAN["id"], "kwargs": {"reference_tensor": "in0"}}
    package = ModelPackage.load(bare(normalisation=[CUT, by_itself]))
    found = chain(package.input.steps, package.input.letters)(IMAGE)
    expected = (IMAGE.clip(90, 110) - IMAGE.mean()) / IMAGE.std()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_card_that_names_no_input_is_refused(bare: Callable[..., Path]) -> None:
    by_other = {"id": "scale_mean_variance", "kwargs": {"reference_tensor": "nobody"}}
    with pytest.raises(Refused, match="by the statistics of 'nobody'"):
        ModelPackage.load(bare(postprocessing=[by_other]))


def test_an_output_by_its_input(described: Callable[..., Path]) -> None:
    package = ModelPackage.load(described(before=[CUT, MEAN], after=[TO_INPUT]))
    assert needs_reference(package.output.steps)
    assert not needs_reference(package.input.steps)
    assert verify(package).absolute > 1  # the values that were cut stay cut
    np.save(package.source / "test_output.npy", to_input(IMAGE.clip(90, 110)))
    assert verify(ModelPackage.load(package.source)).state == "reproduced"


def to_input(image: np.ndarray) -> np.ndarray:
    """Return an image with mean and deviation of the input."""
    scaled: np.ndarray = (image - image.mean()) / image.std()
    return scaled * IMAGE.std() + IMAGE.mean()


def test_an_output_of_other_channels_than_its_input_is_refused(
    described: Callable[..., Path],
) -> None:
    two = np.concatenate([IMAGE, IMAGE], axis=1)
    with pytest.raises(Refused, match="each place along 'c'"):
        ModelPackage.load(described(two, after=[TO_INPUT]))


def test_channels_measured_together_may_be_of_another_number(
    described: Callable[..., Path],
) -> None:
    two = np.concatenate([IMAGE, IMAGE], axis=1)
    together = {"id": TO_INPUT["id"], "kwargs": {"reference_tensor": "raw"}}
    package = ModelPackage.load(described(to_input(two), after=[together]))
    assert verify(package).state == "reproduced"


@pytest.mark.parametrize("mode", ["per_sample", "per_dataset"])
def test_0_4_says_over_what_it_measures(
    mode: str, described: Callable[..., Path]
) -> None:
    step = {"name": "scale_range", "kwargs": {"mode": mode, "axes": "yx"}}
    package = ModelPackage.load(described(old=True, before=[step]))
    made = Scaling(None, package.input, name="series")
    assert made.active is (mode == "per_dataset")


def test_0_4_scales_an_output_by_its_input(described: Callable[..., Path]) -> None:
    step = {
        "name": "scale_mean_variance",
        "kwargs": {"mode": "per_sample", "axes": "yx", "reference_tensor": "raw"},
    }
    before = [{"name": "scale_linear", "kwargs": {"gain": 0.5, "offset": 3.0}}]
    path = described(IMAGE, old=True, before=before, after=[step])
    assert verify(ModelPackage.load(path)).state == "reproduced"


def test_packing_keeps_references(bare: Callable[..., Path], tmp_path: Path) -> None:
    after = {"id": "scale_mean_variance", "kwargs": {"reference_tensor": "in0"}}
    by_itself = {"id": MEAN["id"], "kwargs": {"reference_tensor": "in0"}}
    path = bare(normalisation=[CUT, by_itself], postprocessing=[after], axes="bcyx")
    packed = ModelPackage.load(pack(path, tmp_path / "packed"))
    assert references(packed) == [None, UNPROCESSED]
    assert packed.output.steps[0].kwargs["reference_tensor"] == "raw"
    assert verify(packed).state == "reproduced"


def test_packing_what_a_package_would_measure_otherwise_is_refused(
    bare: Callable[..., Path], tmp_path: Path
) -> None:
    path = bare(normalisation=[CUT, MEAN], axes="bcyx")
    with pytest.raises(Refused, match="measures what the steps before it left"):
        pack(path, tmp_path / "packed")
