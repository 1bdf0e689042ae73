"""What a model on disk may be, and what is refused with which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto

from smartscope.errors import Refused
from smartscope.inference import (
    DetectSettings,
    Model,
    ModelPackage,
    Pipeline,
    shipped_models,
)

MakeOnnx = Callable[..., Path]
SHARED_UNET = (
    Path(__file__).parents[3] / "shared" / "data" / "models" / "unet2d_nuclei_broad"
)
needs_unet = pytest.mark.skipif(
    not SHARED_UNET.is_dir(), reason="the published model is not there"
)


def write_package(folder: Path, **changes: Any) -> Path:
    """Copy the shipped detector's description, changed, into a folder."""
    source = shipped_models()["dog"]
    content = yaml.safe_load((source / "bioimageio.yaml").read_text(encoding="utf-8"))
    content.update(changes)
    folder.mkdir(exist_ok=True)
    for file in source.iterdir():
        if file.suffix != ".yaml":
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / "bioimageio.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def test_bare_onnx_without_a_card(make_onnx: MakeOnnx) -> None:
    package = ModelPackage.load(make_onnx("restore.onnx"))
    assert package.name == "restore"
    assert package.input.letters == "bcyx"
    assert package.head.head is None
    assert package.pixel_size_um is None


def test_card_beside_a_bare_onnx(make_onnx: MakeOnnx) -> None:
    path = make_onnx("spots.onnx", shape=("y", "x"))
    path.with_suffix(".yaml").write_text(
        "name: spots\naxes: yx\npixel_size_um: 0.1\nhead: peaks\nthreshold: 0.3\n"
        "classes: [spot]\nstep: 8\n"
        "normalisation: [{id: scale_linear, kwargs: {gain: 2.0}}]\n",
        encoding="utf-8",
    )
    package = ModelPackage.load(path)
    assert (package.name, package.pixel_size_um) == ("spots", 0.1)
    assert package.head.threshold == 0.3
    assert package.head.classes == ("spot",)
    y = package.input.axis("y")
    assert y is not None
    assert y.padded(9) == 16
    prepared = Model(package, device="cpu").prepare(np.full((8, 8), 3, np.uint16))
    assert prepared.shape == (8, 8)
    assert (prepared == 6).all()


def test_hash_covers_external_data(make_onnx: MakeOnnx) -> None:
    weights = np.ones((1, 1, 32, 32), np.float32)
    path = make_onnx(ops=[("Add", weights)], shape=(1, 1, 32, 32))
    model = onnx.load(str(path))
    onnx.save(
        model, str(path), save_as_external_data=True, location="w.bin", size_threshold=0
    )
    before = ModelPackage.load(path).sha256
    data = path.with_name("w.bin")
    data.write_bytes(bytes(len(data.read_bytes())))
    assert ModelPackage.load(path).sha256 != before


def external(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    path = make_onnx(ops=[("Add", np.ones((1, 1, 32, 32), np.float32))])
    onnx.save(
        onnx.load(str(path)),
        str(path),
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    path.with_name("w.bin").unlink()
    return path


def outside(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    path = external(make_onnx, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"w.bin", b"../ww"))
    return path


def text(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_text("a movie, not a model\n" * 30, encoding="utf-8")
    return path


def truncated(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    path = make_onnx(ops=[("Add", np.ones((1, 1, 32, 32), np.float32))])
    path.write_bytes(path.read_bytes()[:2000])
    return path


def empty(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"")
    return path


def with_card(card: str) -> Callable[[MakeOnnx, Path], Path]:
    def make(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
        path = make_onnx()
        path.with_suffix(".yaml").write_text(card, encoding="utf-8")
        return path

    return make


def with_graph(**kwargs: Any) -> Callable[[MakeOnnx, Path], Path]:
    return lambda make_onnx, tmp_path: make_onnx(**kwargs)


def with_package(**changes: Any) -> Callable[[MakeOnnx, Path], Path]:
    return lambda make_onnx, tmp_path: write_package(tmp_path / "p", **changes)


def no_onnx(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    torchscript = {"source": "weights.pt", "pytorch_version": "2.0"}
    return write_package(tmp_path / "p", weights={"torchscript": torchscript})


def other_size(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    folder = write_package(tmp_path / "p")
    make_onnx("weights.onnx", shape=(1, 3, "y", "x"), folder=folder)
    return folder


def other_rank(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    folder = write_package(tmp_path / "p")
    make_onnx("weights.onnx", shape=("y", "x"), folder=folder)
    return folder


def zipped(make_onnx: MakeOnnx, tmp_path: Path) -> Path:
    path = tmp_path / "p.zip"
    path.write_bytes(b"PK")
    return path


def _with_axes(make: MakeOnnx, axes: str) -> Any:
    path = make(shape=(3, 1, "y", "x"))
    path.with_suffix(".yaml").write_text(f"axes: {axes}\n", encoding="utf-8")
    return path


BAD: dict[str, tuple[Callable[[MakeOnnx, Path], Any], str]] = {
    "misspelt": (lambda *_: "dogg", "Did you mean 'dog'"),
    "missing file": (lambda *_: "/nowhere/model.onnx", "no file or folder"),
    "text": (text, "is not ONNX"),
    "truncated": (truncated, "broken off"),
    "empty file": (empty, "no ONNX graph"),
    "external data missing": (external, "'w.bin'"),
    "external data outside": (outside, "outside its folder"),
    "folder without package": (lambda _, tmp: tmp, "no bioimage.io package"),
    "zip": (zipped, "cannot be unpacked"),
    "rank 3": (with_graph(shape=(1, "y", "x")), "Write a card"),
    "rank 5": (with_graph(shape=(1, 1, 1, "y", "x")), "rank 5"),
    "planes of an index": (
        lambda make, _: _with_axes(make, "icyx"),
        "takes 3 planes of axis i",
    ),
    "strings": (with_graph(dtype=TensorProto.STRING), "images"),
    "complex": (with_graph(dtype=TensorProto.COMPLEX64), "takes 'complex64'"),
    "two inputs": (with_graph(inputs=2), "takes 2 inputs"),
    "output without y, x": (
        with_card("axes: bcyx\noutput_axes: bc\n"),
        "y and x among them",
    ),
    "card: unknown key": (with_card("treshold: 0.5"), "Did you mean 'threshold'"),
    "card: wrong value": (with_card("threshold: 7"), "less than 1"),
    "card: axes": (with_card("axes: bcyq"), "letters of"),
    "card: other rank": (with_card("axes: yx"), "has rank 4 and its card says"),
    "card: no mapping": (with_card("- 1"), "no keys and values"),
    "card: no YAML": (with_card("a: [1"), "cannot be read"),
    "card: unknown head": (with_card("head: stars"), "head"),
    "package: no ONNX": (no_onnx, "no ONNX weights (only torchscript)"),
    "package: invalid": (with_package(inputs=[]), "not a valid bioimage.io"),
    "package: dataset": (with_package(type="dataset"), "not a valid|not a model"),
    "package: our part": (
        with_package(config={"smartscope": {"haed": "peaks"}}),
        "Did you mean 'head'",
    ),
    "package: other size": (other_size, "Description and graph must agree"),
    "package: other rank": (other_rank, "Description and graph must agree"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case: str, make_onnx: MakeOnnx, tmp_path: Path) -> None:
    make, words = BAD[case]
    with pytest.raises(Refused) as refused:
        ModelPackage.load(make(make_onnx, tmp_path))
    assert any(word in str(refused.value) for word in words.split("|")), refused.value
    assert "Nothing has moved" in str(refused.value)


UNUSABLE: dict[str, tuple[Callable[[MakeOnnx, Path], Any], str]] = {
    "no head": (with_graph(), "neither|Nothing says how the output"),
    "unknown step": (
        with_card("head: peaks\nnormalisation: [zero_mean_unit_varianc]"),
        "Did you mean 'zero_mean_unit_variance'",
    ),
    "wrong arguments": (
        with_card("head: peaks\nnormalisation: [{id: clip, kwargs: {mni: 1}}]"),
        "wrong arguments",
    ),
    "axis there is not": (
        with_card(
            "head: peaks\n"
            "normalisation: [{id: zero_mean_unit_variance, kwargs: {axes: [z]}}]"
        ),
        "names the axis 'z'",
    ),
    "two channels out": (
        with_graph(
            ops=[("Concat", np.ones((1, 1, 4, 4), np.float32), {"axis": 1})],
            shape=(1, 1, 4, 4),
            out_shape=(1, 2, 4, 4),
        ),
        "Nothing says|2 channels",
    ),
    "operator unknown": (with_graph(ops=["NoSuchOperator"]), "cannot take"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_unusable_model_is_refused(
    case: str, make_onnx: MakeOnnx, tmp_path: Path
) -> None:
    make, words = UNUSABLE[case]
    path = make(make_onnx, tmp_path)
    head = "peaks" if case in {"operator unknown", "two channels out"} else None
    with pytest.raises(Refused) as refused:
        Pipeline.load(DetectSettings(model=str(path), head=head, device="cpu"))
    assert any(word in str(refused.value) for word in words.split("|")), refused.value


def test_package_names_files_that_only_the_web_has(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "p", covers=["https://example.com/cover.png"])
    assert ModelPackage.load(folder).sha256 == ModelPackage.load("dog").sha256
    assert ModelPackage.load(folder / "bioimageio.yaml").name


def test_description_0_4(make_onnx: MakeOnnx, tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    make_onnx("weights.onnx", shape=(1, 1, "y", "x"), folder=folder, ops=["Sigmoid"])
    for name in ("in.npy", "out.npy"):
        np.save(folder / name, np.zeros((1, 1, 32, 32), np.float32))
    content = {
        "format_version": "0.4.10",
        "type": "model",
        "name": "An old package",
        "description": "for a test",
        "authors": [{"name": "nobody"}],
        "cite": [{"text": "none", "url": "https://example.com"}],
        "license": "MIT",
        "documentation": "README.md",
        "tags": [],
        "timestamp": "2022-01-01T00:00:00",
        "inputs": [
            {
                "name": "raw",
                "axes": "bcyx",
                "data_type": "float32",
                "shape": {"min": [1, 1, 32, 32], "step": [0, 0, 16, 16]},
                "preprocessing": [
                    {
                        "name": "zero_mean_unit_variance",
                        "kwargs": {"mode": "per_sample", "axes": "xy"},
                    }
                ],
            }
        ],
        "outputs": [
            {
                "name": "probability",
                "axes": "bcyx",
                "data_type": "float32",
                "data_range": [0.0, 1.0],
                "halo": [0, 0, 8, 8],
                "shape": {
                    "reference_tensor": "raw",
                    "scale": [1, 1, 1, 1],
                    "offset": [0, 0, 0, 0],
                },
            }
        ],
        "test_inputs": ["in.npy"],
        "test_outputs": ["out.npy"],
        "weights": {"onnx": {"source": "weights.onnx", "opset_version": 18}},
    }
    (folder / "README.md").write_text("old", encoding="utf-8")
    (folder / "rdf.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    package = ModelPackage.load(folder)
    assert package.output.probability
    assert [s.id for s in package.input.steps] == ["zero_mean_unit_variance"]
    y = package.input.axis("y")
    assert y is not None
    assert (y.padded(20), y.padded(33)) == (32, 48)
    model = Model(package, device="cpu")
    tensor = model.prepare(np.arange(20 * 33, dtype=np.uint16).reshape(20, 33))
    assert tensor.shape == (1, 1, 32, 48)
    assert model.map(tensor, (20, 33)).shape == (20, 33)


@needs_unet
def test_published_package_reproduces_its_test_tensors() -> None:
    package = ModelPackage.load(SHARED_UNET)
    assert package.test_input is not None
    assert package.test_output is not None
    model = Model(package, device="cpu")
    given, expected = np.load(package.test_input), np.load(package.test_output)
    got = model.predict(model.prepare(given[0, 0]))
    np.testing.assert_allclose(got, expected, atol=1e-4)
