"""A net whose map has another size than described is refused, whatever reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from smartscope.errors import AnalysisFailed
from smartscope.inference import DenoiseSettings, DetectSettings, ModelPackage, Pipeline
from smartscope.inference.heads.reading import head_of

FREE = [1, 1, None, None]
FRAME = np.random.default_rng(0).poisson(100, (50, 62)).astype(np.uint16)


def halving(tmp_path: Path, **card: Any) -> str:
    """A net of free size that gives a map of half its rows and columns."""
    nodes = [
        helper.make_node(
            "AveragePool", ["x"], ["p"], kernel_shape=[2, 2], strides=[2, 2]
        ),
        helper.make_node("Sigmoid", ["p"], ["s"]),
        helper.make_node("Conv", ["s", "ones"], ["rays"]),
        helper.make_node("Identity", ["s"], ["map"]),
    ]
    ones = numpy_helper.from_array(np.ones((8, 1, 1, 1), np.float32), "ones")
    several = card.pop("rays", False)
    value = helper.make_tensor_value_info
    outputs = [value("map", TensorProto.FLOAT, FREE)]
    if several:
        outputs.append(value("rays", TensorProto.FLOAT, [1, 8, None, None]))
    graph = helper.make_graph(
        nodes if several else [nodes[0], nodes[1], nodes[3]],
        "halving",
        [value("x", TensorProto.FLOAT, FREE)],
        outputs,
        [ones] if several else [],
    )
    opset = [helper.make_opsetid("", 18)]
    path = tmp_path / "halving.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(path))
    path.with_suffix(".yaml").write_text(yaml.safe_dump({"axes": "bcyx", **card}))
    return str(path)


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize(
    ("head", "more"),
    [
        ("peaks", {}),
        ("peaks", {"classes": ["one"], "channel": 0}),
        ("components", {}),
        ("components", {"step": 16}),  # cropped
        ("stardist", {"rays": True}),
    ],
)
def test_a_map_of_another_size_is_told(
    head: str, more: dict[str, Any], fuse: bool, tmp_path: Path
) -> None:
    path = halving(tmp_path, head=head, **more)
    pipeline = Pipeline.load(DetectSettings(model=path, device="cpu"), fuse=fuse)
    with pytest.raises(AnalysisFailed, match="were described") as told:
        pipeline.run(FRAME)
    assert "'stride: 2'" in told.value.way_out
    Path(path).with_suffix(".yaml").write_text(
        yaml.safe_dump({"axes": "bcyx", "head": head, "stride": 2})
    )
    Pipeline.load(DetectSettings(model=path, device="cpu"), fuse=fuse).run(FRAME)


@pytest.mark.parametrize("step", [1, 16])
def test_a_restored_image_of_another_size_is_told(step: int, tmp_path: Path) -> None:
    denoise = DenoiseSettings(model=halving(tmp_path, step=step), device="cpu")
    detect = DetectSettings(model="dog", device="cpu", resample=False)
    with pytest.raises(AnalysisFailed, match="were described"):
        Pipeline.load(detect, denoise).run(FRAME)


def test_a_probability_with_rays_beside_it_is_stardist(tmp_path: Path) -> None:
    path = halving(tmp_path, rays=True, stride=2)
    assert head_of(ModelPackage.load(path)) == "stardist"
    assert head_of(ModelPackage.load(halving(tmp_path))) == "components"
