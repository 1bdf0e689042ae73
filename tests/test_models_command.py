"""``smartscope models``: what it prints, writes, and with which code it ends."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from smartscope.cli import app
from smartscope.inference import ModelPackage, shipped_models, verify


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def graph(
    path: Path,
    nodes: list[onnx.NodeProto],
    shape: list[Any],
    out_shape: list[Any],
    constants: dict[str, np.ndarray] | None = None,
    dtype: int = TensorProto.FLOAT,
) -> Path:
    made = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("image", dtype, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, out_shape)],
        [numpy_helper.from_array(v, k) for k, v in (constants or {}).items()],
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    onnx.save(model, str(path))
    return path


def probabilities(path: Path) -> Path:
    """A net with two poolings that gives a probability map at a quarter of the size."""
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        helper.make_node("MaxPool", ["image"], ["half"], **pool),
        helper.make_node("AveragePool", ["half"], ["quarter"], **pool),
        helper.make_node("Sigmoid", ["quarter"], ["out"]),
    ]
    return graph(path, nodes, [1, 1, 64, 64], [1, 1, 16, 16])


def test_list() -> None:
    done = call("models", "list", "--json")
    assert done.exit_code == 0
    listed = json.loads(done.stdout)
    assert list(listed) == list(shipped_models())
    assert listed["dog"]["head"] == "peaks"
    assert listed["dog"]["pixel_size_um"] == 0.65
    assert listed["dog"]["sha256"] == ModelPackage.load("dog").sha256
    plain = call("models", "list").stdout
    assert listed["dog"]["sha256"] in plain


def test_inspect() -> None:
    told = json.loads(call("models", "inspect", "dog", "--json").stdout)
    assert told["input"]["axes"] == "bcyx"
    assert told["input"]["sizes"]["y"] == {"min": 64, "step": 4}
    assert told["outputs"][0]["stride"] == {"y": 2, "x": 2}
    assert told["test_tensors"] is True
    assert "input.sizes.y.step" in call("models", "inspect", "dog").stdout


def test_inspect_writes_a_first_card_and_never_over_one(tmp_path: Path) -> None:
    path = probabilities(tmp_path / "spots.onnx")
    done = call("models", "inspect", path, "--card", "--json")
    assert done.exit_code == 0
    card = yaml.safe_load(path.with_suffix(".yaml").read_text(encoding="utf-8"))
    assert json.loads(done.stdout)["content"] == card
    assert card["axes"] == "bcyx"
    assert (card["head"], card["stride"]) == ("peaks", 4)
    assert any("pixel_size_um" in q for q in json.loads(done.stdout)["ask"])
    assert ModelPackage.load(path).head.head == "peaks"
    before = path.with_suffix(".yaml").read_bytes()
    assert call("models", "inspect", path, "--card").exit_code == 2
    assert path.with_suffix(".yaml").read_bytes() == before


FIRST_CARDS: dict[str, tuple[Any, Any, Any, dict[str, Any]]] = {
    "probability": (
        "Sigmoid",
        [1, 1, "y", "x"],
        [1, 1, "y", "x"],
        {"head": "components"},
    ),
    "channels last": ("Sigmoid", [1, "y", "x", 1], [1, "y", "x", 1], {"axes": "byxc"}),
    "free channels": (
        "Sigmoid",
        ["b", "c", "y", "x"],
        ["b", 1, "y", "x"],
        {"channels_are": "channels"},
    ),
    "plane": ("Sigmoid", ["y", "x"], ["y", "x"], {"axes": "yx"}),
    "restored": ("Relu", [1, 1, "y", "x"], [1, 1, "y", "x"], {"axes": "bcyx"}),
    "classes": (
        "ReduceMean",
        [1, 1, 32, 32],
        [1, 1],
        {"head": "classes", "output_axes": "bc"},
    ),
}


@pytest.mark.parametrize("case", FIRST_CARDS)
def test_first_cards(case: str, tmp_path: Path) -> None:
    op, shape, out_shape, expected = FIRST_CARDS[case]
    constants = {"axes": np.array([2, 3], np.int64)} if op == "ReduceMean" else {}
    more = {"keepdims": 0} if op == "ReduceMean" else {}
    node = helper.make_node(op, ["image", *constants], ["out"], **more)
    path = graph(tmp_path / "m.onnx", [node], shape, out_shape, constants)
    assert call("models", "inspect", path, "--card").exit_code == 0
    card = yaml.safe_load(path.with_suffix(".yaml").read_text(encoding="utf-8"))
    assert expected.items() <= card.items()
    assert ("head" in card) is (case != "restored")
    ModelPackage.load(path)


def test_a_first_card_reads_what_is_only_laid_out_after_the_sigmoid(
    tmp_path: Path,
) -> None:
    nodes = [
        helper.make_node("Transpose", ["image"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Sigmoid", ["first"], ["s"]),
        helper.make_node("Transpose", ["s"], ["out"], perm=[0, 2, 3, 1]),
    ]
    path = graph(tmp_path / "m.onnx", nodes, [1, "y", "x", 1], [1, "y", "x", 1])
    told = json.loads(call("models", "inspect", path, "--json").stdout)
    assert told["head"] == {"head": "components"}
    done = call("models", "inspect", path, "--card", "--json")
    assert json.loads(done.stdout)["content"]["head"] == "components"


def test_a_first_card_asks_each_question_in_a_line(tmp_path: Path) -> None:
    node = helper.make_node("Sigmoid", ["image"], ["out"])
    path = graph(tmp_path / "m.onnx", [node], [1, "c", "y", "x"], [1, "c", "y", "x"])
    lines = call("models", "inspect", path, "--card").stdout.splitlines()
    assert sum(line.startswith("ask ") for line in lines) == 4
    assert "the channels are those" in " ".join(lines)


def test_test_measures_nothing_without_test_tensors(tmp_path: Path) -> None:
    done = call("models", "test", probabilities(tmp_path / "m.onnx"), "--json")
    told = json.loads(done.stdout)
    assert (told["verdict"], told["absolute"], told["relative"]) == (
        "untested",
        None,
        None,
    )


def test_a_model_of_texts_is_refused_in_words(tmp_path: Path) -> None:
    node = helper.make_node("StringNormalizer", ["image"], ["out"])
    path = graph(tmp_path / "m.onnx", [node], [1, 1], [1, 1], dtype=TensorProto.STRING)
    path.with_suffix(".yaml").write_text("axes: yx\n", encoding="utf-8")
    done = call("models", "inspect", path)
    assert done.exit_code == 2
    assert "'string' images" in " ".join(done.stderr.split())


def test_test_reproduces_and_says_how_well() -> None:
    done = call("models", "test", "dog", "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["verdict"] == "reproduced"
    assert 0 < told["relative"] < 1e-4
    assert told["outputs"][0]["output"] == "score"


def test_test_ends_with_1_where_it_does_not_reproduce(tmp_path: Path) -> None:
    folder = tmp_path / "dog"
    folder.mkdir()
    for file in shipped_models()["dog"].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    output = np.load(folder / "test_output.npy")
    np.save(folder / "test_output.npy", output + 0.1)
    done = call("models", "test", folder, "--json")
    assert done.exit_code == 1
    told = json.loads(done.stdout)
    assert told["verdict"] == "not reproduced"
    assert told["absolute"] == pytest.approx(0.1, abs=1e-3)


def test_test_refuses_what_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_text("no model " * 50, encoding="utf-8")
    assert call("models", "test", path).exit_code == 2


@pytest.mark.parametrize("out", ["spots", "spots.zip"])
def test_pack_makes_a_package_that_reproduces(out: str, tmp_path: Path) -> None:
    path = probabilities(tmp_path / "spots.onnx")
    path.with_suffix(".yaml").write_text(
        "axes: bcyx\nstride: 4\npixel_size_um: 0.2\nhead: peaks\nradius_um: 1.5\n"
        "normalisation: [{id: zero_mean_unit_variance, kwargs: {axes: [y, x]}}]\n",
        encoding="utf-8",
    )
    made = tmp_path / "out" / out
    arguments = ("models", "pack", path, "--out", made, "--license", "MIT")
    done = call(*arguments, "--author", "A", "--author", "B", "--json")
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["verdict"] == "reproduced"
    bare, packed = ModelPackage.load(path), ModelPackage.load(made)
    assert packed.head == bare.head
    assert packed.pixel_size_um == 0.2
    assert packed.input.letters == bare.input.letters
    assert "zero_mean_unit_variance" in [s.id for s in packed.input.steps]
    assert [a.stride for a in packed.output.axes] == [1, 1, 4, 4]
    assert verify(packed).state == "reproduced"
    if out.endswith(".zip"):
        assert "bioimageio.yaml" in zipfile.ZipFile(made).namelist()
    assert call(*arguments).exit_code == 2, "it exists already"


@pytest.mark.parametrize("head", ["classes", "components"])
def test_pack_of_other_heads(head: str, tmp_path: Path) -> None:
    if head == "classes":
        node = helper.make_node("ReduceMean", ["image", "axes"], ["out"], keepdims=0)
        path = graph(
            tmp_path / "m.onnx",
            [node],
            [1, 1, 32, 32],
            [1, 1],
            {"axes": np.array([2, 3], np.int64)},
        )
        card = "axes: bcyx\noutput_axes: bc\nhead: classes\nclasses: [alive]\n"
    else:
        node = helper.make_node("Sigmoid", ["image"], ["out"])
        path = graph(tmp_path / "m.onnx", [node], [1, "y", "x", 1], [1, "y", "x", 1])
        card = (
            "axes: byxc\nstep: 8\nhalo: 4\nhead: components\n"
            "normalisation: [{id: scale_range}]\n"
        )
    path.with_suffix(".yaml").write_text(card, encoding="utf-8")
    done = call("models", "pack", path, "--out", tmp_path / "made", "--json")
    assert done.exit_code == 0, done.stderr
    packed = ModelPackage.load(tmp_path / "made")
    assert packed.head.head == head
    if head == "components":
        assert packed.input.letters == "byxc"
        assert [(a.step, a.minimum) for a in packed.input.axes[1:3]] == [(8, 16)] * 2
        assert [a.halo for a in packed.output.axes] == [0, 4, 4, 0]


def test_bench_tells_where_the_time_goes() -> None:
    done = call(
        "models",
        "bench",
        "dog",
        "--size",
        64,
        "--size",
        96,
        "--device",
        "cpu",
        "--json",
    )
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert [t["size"] for t in told] == [64, 96]
    for each in told:
        assert each["fused"]
        assert each["device"] == "cpu"
        assert each["fastest_ms"] <= each["p50_ms"] <= each["p95_ms"] <= each["p99_ms"]
        assert each["frames_per_s"] == pytest.approx(1e3 / each["p50_ms"])
        assert set(each["parts_ms"]) == {"normalise", "net", "after", "runtime"}
        assert each["parts_ms"]["net"] > 0
        assert each["times_floor"] == pytest.approx(
            each["fastest_ms"] / each["floor_ms"]
        )
    # the same net on more pixels
    assert told[1]["gflop"] > 2 * told[0]["gflop"] > 0
    assert "p99_ms" in call("models", "bench", "dog", "--size", 64).stdout


def test_bench_of_what_was_not_fused_says_why(tmp_path: Path) -> None:
    node = helper.make_node("Sigmoid", ["image"], ["out"])
    path = graph(tmp_path / "m.onnx", [node], [1, 1, 32, 32], [1, 1, 32, 32])
    path.with_suffix(".yaml").write_text("axes: bcyx\nhead: peaks\n", encoding="utf-8")
    done = call("models", "bench", path, "--size", 70, "--device", "cpu", "--json")
    assert done.exit_code == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert not told["fused"]
    assert "tiles" in told["unfused"]
    assert told["times_floor"] is None  # it has no operations that are counted


def test_bench_of_a_model_that_restores_images() -> None:
    done = call(
        "models", "bench", "gaussian", "--size", 64, "--device", "cpu", "--json"
    )
    assert done.exit_code == 0, done.stderr
    (told,) = json.loads(done.stdout)
    assert told["fused"]


@pytest.mark.parametrize(
    ("option", "value"),
    [("--precision", "half"), ("--device", "abacus"), ("--size", 0)],
)
def test_bench_refuses_what_is_not_there(option: str, value: object) -> None:
    done = call("models", "bench", "dog", option, value)
    assert done.exit_code == 2
    assert "Traceback" not in done.stderr


def test_pack_without_a_card_is_refused(tmp_path: Path) -> None:
    done = call("models", "pack", probabilities(tmp_path / "m.onnx"), "--out", "o")
    assert done.exit_code == 2
    assert "--card" in done.stderr


@pytest.mark.parametrize("key", ["step", "stride"])
def test_a_card_of_sizes_that_no_image_has_is_refused(key: str, tmp_path: Path) -> None:
    path = probabilities(tmp_path / "m.onnx")
    path.with_suffix(".yaml").write_text(f"{key}: 1000000000000\n", encoding="utf-8")
    done = call("models", "inspect", path)
    assert done.exit_code == 2
    assert f"{key}: Input should be less than" in " ".join(done.stderr.split())


def test_pack_says_what_is_wrong_in_few_words(tmp_path: Path) -> None:
    path = probabilities(tmp_path / "m.onnx")
    path.with_suffix(".yaml").write_text("axes: bcyx\nstride: 4\n", encoding="utf-8")
    out = tmp_path / "made.zip"
    done = call("models", "pack", path, "--out", out, "--license", "MTI")
    assert done.exit_code == 2
    assert "no license 'MTI'" in done.stderr
    assert len(done.stderr) < 500
    assert not out.exists()
    done = call("models", "pack", shipped_models()["dog"], "--out", out)
    assert done.exit_code == 2
    assert "needs no packing" in " ".join(done.stderr.split())
