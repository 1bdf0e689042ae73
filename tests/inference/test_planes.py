"""Several channels and a window: planes into one graph, as into its parts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from smartscope.errors import Refused
from smartscope.inference import (
    Corrections,
    DenoiseSettings,
    DetectSettings,
    FirstCard,
    ModelPackage,
    Pipeline,
    Planes,
    pack,
    verify,
)
from smartscope.inference.fuse import Stage, fuse

SIZES = {"b": 1, "y": "y", "x": "x"}


def write(folder: Path, model: Any, name: str, **card: Any) -> str:
    path = folder / f"{name}.onnx"
    onnx.save(model, str(path))
    path.with_suffix(".yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return str(path)


def weighing_net(
    letters: str, weights: Sequence[Sequence[float]], free: str = ""
) -> Any:
    """Sum the planes, each with its own weight: of channel c and frame t [c][t].

    The output has the same axes, c and t of length 1; ``free`` axes take any length, of
    which the weights are those that the net is made for.
    """
    lengths = {**SIZES, "c": len(weights), "t": len(weights[0])}
    shape = [a if a in free else lengths[a] for a in letters]
    out = [1 if a in "ct" else lengths[a] for a in letters]
    table = np.float32(weights)
    if letters.find("t") < letters.find("c"):
        table = table.T
    aside = [lengths[a] if a in "ct" else 1 for a in letters]
    axes = np.asarray([i for i, a in enumerate(letters) if a in "ct"], np.int64)
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["in", "weights"], ["each"]),
            helper.make_node("ReduceSum", ["each", "axes"], ["out"], keepdims=1),
        ],
        "weighing",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, out)],
        [
            numpy_helper.from_array(table.reshape(aside), "weights"),
            numpy_helper.from_array(axes, "axes"),
        ],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )


def detect(model: str, **more: Any) -> DetectSettings:
    return DetectSettings(model=model, head="components", device="cpu", **more)


def both(given_: Planes, *models: Any, **more: Any) -> np.ndarray:
    """Return the map, which the fused graph and the parts agree on."""
    fused = Pipeline.load(*models, threads=1, **more)
    parts = Pipeline.load(*models, threads=1, fuse=False, **more)
    seen, expected = fused.run(given_), parts.run(given_)
    assert fused.unfused == ""
    assert seen.map is not None
    assert expected.map is not None
    assert seen.scale == expected.scale
    assert seen.stride == expected.stride
    top = float(np.abs(expected.map).max(initial=1e-6))
    np.testing.assert_allclose(seen.map, expected.map, rtol=1e-4, atol=1e-4 * top)
    got, other = seen.restored, expected.restored
    assert (got is None) == (other is None)
    if got is not None and other is not None:
        assert got.shape == other.shape == given_.shape
        top = float(np.abs(other).max(initial=1e-6))
        np.testing.assert_allclose(got, other, rtol=1e-4, atol=1e-4 * top)
    return expected.map


def planes(
    shape: tuple[int, int],
    channels: int = 1,
    frames: int = 1,
    dtype: Any = np.uint16,
    seed: int = 0,
    **more: Any,
) -> Planes:
    rng = np.random.default_rng(seed)
    top = 256 if dtype == np.uint8 else 4000
    pixels = rng.integers(0, top, (channels * frames, *shape)).astype(dtype)
    return Planes(tuple(pixels), tuple(f"ch{i}" for i in range(channels)), **more)


LAYOUTS = ["bcyx", "byxc", "btcyx", "bctyx", "tcyx", "bxytc", "ctyx", "yxct", "cxy"]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(LAYOUTS),
    st.integers(1, 3),
    st.integers(1, 4),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([np.uint8, np.uint16, np.int32, np.float32]),
    st.integers(0, 2**32 - 1),
)
def test_any_layout_takes_planes_where_they_belong(
    tmp_path_factory: pytest.TempPathFactory,
    letters: str,
    channels: int,
    frames: int,
    shape: tuple[int, int],
    dtype: Any,
    seed: int,
) -> None:
    frames = frames if "t" in letters else 1
    given_ = planes(shape, channels, frames, dtype, seed)
    weights = np.random.default_rng(seed).normal(size=(channels, frames))
    folder = tmp_path_factory.mktemp("net")
    model = write(folder, weighing_net(letters, weights), "net", axes=letters, step=4)
    got = both(given_, detect(model))
    expected = np.tensordot(
        weights.astype(np.float32).ravel(), np.stack(given_.pixels).astype(float), 1
    )
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1)


def test_a_net_of_two_channels_finds_what_is_in_one_and_not_in_the_other(
    tmp_path: Path,
) -> None:
    model = write(tmp_path, weighing_net("bcyx", [[1], [-1]]), "two")
    pipeline = Pipeline.load(DetectSettings(model=model, head="peaks", device="cpu"))
    assert (pipeline.channels, pipeline.window) == (2, 1)
    images = np.full((2, 48, 48), 100, np.uint16)
    images[:, 10, 12] = 900  # in both
    images[0, 30, 31] = 700  # in the first only
    found = pipeline.run(Planes(tuple(images), ("FITC", "TRITC"))).candidates
    assert found is not None
    assert found.positions.tolist() == [[30, 31]]
    swapped = pipeline.run(Planes(tuple(images[::-1]), ("TRITC", "FITC"))).candidates
    assert swapped is not None
    assert len(swapped) == 0


@pytest.mark.parametrize("kind", ["t", "c", "free t", "free c"])
def test_a_difference_of_frames_finds_what_came(tmp_path: Path, kind: str) -> None:
    axis = kind[-1]
    card: dict[str, Any] = {"axes": f"b{axis}yx", "output_axes": f"b{axis}yx"}
    if axis == "c":
        card["channels_are"] = "frames"
    net = weighing_net(
        card["axes"],
        [[-1, 1]] if axis == "t" else [[-1], [1]],
        free=axis if "free" in kind else "",
    )
    model = write(tmp_path, net, "difference", **card)
    window = {"window": 2} if "free" in kind else {}
    pipeline = Pipeline.load(detect(model, **window))
    assert (pipeline.channels, pipeline.window) == (1, 2)
    before, after = np.full((2, 20, 24), 50, np.uint16)
    after[5:8, 6:9] += 300
    inferred = pipeline.run(Planes((before, after), ("FITC",)))
    assert pipeline.unfused == ""
    assert inferred.map is not None
    np.testing.assert_array_equal(
        np.argwhere(inferred.map > 1)[[0, -1]], [[5, 6], [7, 8]]
    )
    with pytest.raises(Refused, match="takes 1 channel of 2 frames each"):
        pipeline.run(before)


def test_a_window_that_a_net_does_not_take_is_refused(tmp_path: Path) -> None:
    one = write(tmp_path, weighing_net("bcyx", [[1]]), "one")
    with pytest.raises(Refused, match="takes 1 frame at once, and the window is 4"):
        Pipeline.load(detect(one, window=4))
    two = write(tmp_path, weighing_net("btyx", [[1, 1]]), "two", axes="btyx")
    with pytest.raises(Refused, match="takes 2 frames at once"):
        Pipeline.load(detect(two, window=3))
    both_ = write(
        tmp_path,
        weighing_net("btcyx", [[1, 1]]),
        "both",
        axes="btcyx",
        channels_are="frames",
    )
    with pytest.raises(Refused, match="its channels are frames"):
        Pipeline.load(detect(both_))


def test_channels_that_a_net_does_not_take_are_refused(tmp_path: Path) -> None:
    model = write(tmp_path, weighing_net("bcyx", [[1], [1]]), "two")
    pipeline = Pipeline.load(detect(model))
    with pytest.raises(Refused, match="takes 2 channels, and 1 of 1 are given"):
        pipeline.run(np.zeros((8, 8), np.uint16))
    free = write(tmp_path, weighing_net("bcyx", [[1], [1]], free="c"), "free")
    assert Pipeline.load(detect(free)).channels == 1
    assert Pipeline.load(detect(free), channels=2).channels == 2


def test_a_restorer_may_take_the_window(tmp_path: Path) -> None:
    mean = write(tmp_path, weighing_net("btyx", [[0.25] * 4]), "mean", axes="btyx")
    plus = write(tmp_path, weighing_net("bcyx", [[2]]), "plus")
    given_ = planes((16, 20), frames=4)
    got = both(
        given_, detect(plus), DenoiseSettings(model=mean, device="cpu", store=True)
    )
    np.testing.assert_allclose(got, 2 * np.mean(given_.pixels, axis=0), rtol=1e-5)


@pytest.mark.parametrize("pixel_um", [None, 1.3])
def test_each_channel_is_restored_before_a_net_of_two(
    tmp_path: Path, pixel_um: float | None
) -> None:
    card = {"pixel_size_um": 0.65}
    twice = write(tmp_path, weighing_net("bcyx", [[2]]), "twice", **card)
    differ = write(tmp_path, weighing_net("bcyx", [[1], [-1]]), "differ", **card)
    given_ = planes((16, 20), channels=2, pixel_size_um=pixel_um)
    models = (detect(differ), DenoiseSettings(model=twice, device="cpu"))
    got = both(given_, *models)
    if pixel_um is None:
        first, second = (p.astype(float) for p in given_.pixels)
        np.testing.assert_allclose(got, 2 * (first - second), rtol=1e-5)
    graph = fuse_of(Pipeline.load(*models, threads=1), given_)
    assert [t.name for t in graph.graph.initializer if "weights" in t.name] == [
        "net0_weights",
        "net1_weights",
    ]


def fuse_of(pipeline: Pipeline, given_: Planes) -> Any:
    """Return the graph that a pipeline makes for such planes."""
    models = list(pipeline.models.values())
    shapes = [m.image_shape(given_.shape, given_.pixel_size_um) for m in models]
    stages = [
        Stage(m.package, m.padding(s), m.channel, m.intake)
        for m, s in zip(models, shapes, strict=True)
    ]
    return onnx.load_from_string(
        fuse(stages, shape=given_.shape, dtype=given_.dtype, end="map")
    )


def test_models_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    mean = write(tmp_path, weighing_net("btyx", [[0.25] * 4]), "mean", axes="btyx")
    one = write(tmp_path, weighing_net("bcyx", [[1]]), "one")
    for denoise in (mean, one):
        with pytest.raises(Refused, match="which restores them first"):
            Pipeline.load(detect(mean), DenoiseSettings(model=denoise, device="cpu"))


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from(["none", "all", "some"]),
    st.integers(0, 2**32 - 1),
)
def test_dark_and_flat_field_come_first(
    tmp_path_factory: pytest.TempPathFactory,
    channels: int,
    frames: int,
    dark: bool,
    flats: str,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    given_ = planes((12, 14), channels, frames, seed=seed)
    black = rng.uniform(90, 110, (12, 14)).astype(np.float32) if dark else None
    keys = {"none": [], "all": [""], "some": ["ch0"]}[flats]
    even = {k: rng.uniform(0.5, 1.5, (12, 14)).astype(np.float32) for k in keys}
    weights = rng.normal(size=(channels, frames))
    model = write(
        tmp_path_factory.mktemp("net"),
        weighing_net("btcyx", weights),
        "net",
        axes="btcyx",
    )
    fields = Corrections(black, even)
    got = both(given_, detect(model), corrections=fields)
    expected = np.zeros((12, 14))
    for c in range(channels):
        for t in range(frames):
            plane = given_.pixels[c * frames + t].astype(float)
            plane -= 0 if black is None else black
            plane /= even.get(f"ch{c}", even.get("", np.float32(1)))
            expected += np.float32(weights[c, t]) * plane
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1)


def test_fields_of_another_shape_are_refused() -> None:
    flat = np.ones((64, 64), np.float32)
    pipeline = Pipeline.load(
        DetectSettings(model="dog", device="cpu"),
        corrections=Corrections(None, {"FITC": flat}),
    )
    pipeline.check((64, 64))
    with pytest.raises(Refused, match="The flat field of FITC has 64 × 64 pixels"):
        pipeline.check((64, 96))
    with pytest.raises(Refused, match="the frames have 64 × 96"):
        pipeline.run(np.zeros((64, 96), np.uint16))


@pytest.mark.parametrize("letters", ["bcyx", "bctyx", "btyx"])
def test_a_package_of_several_planes_reproduces_itself(
    tmp_path: Path, letters: str
) -> None:
    frames = 3 if "t" in letters else 1
    weights = [[1] * frames] * (2 if "c" in letters else 1)
    card: dict[str, Any] = {"axes": letters, "head": "components"}
    model = write(tmp_path, weighing_net(letters, weights), "several", **card)
    packed = pack(Path(model), tmp_path / "package.zip")
    assert verify(ModelPackage.load(packed)).state == "reproduced"
    pipeline = Pipeline.load(DetectSettings(model=str(packed), device="cpu"))
    assert (pipeline.channels, pipeline.window) == (len(weights), frames)


def test_a_first_card_asks_what_the_channels_are(tmp_path: Path) -> None:
    path = tmp_path / "two.onnx"
    onnx.save(weighing_net("bcyx", [[1], [-1]]), str(path))
    card = FirstCard.of(path)
    assert card.content["channels_are"] == "channels"
    assert any("the 2 channels are those of" in q for q in card.open_questions)
    onnx.save(weighing_net("bcyx", [[1]]), str(path))
    assert "channels_are" not in FirstCard.of(path).content


def test_restored_images_of_several_channels_are_not_stored(tmp_path: Path) -> None:
    twice = write(tmp_path, weighing_net("bcyx", [[2]]), "twice")
    differ = write(tmp_path, weighing_net("bcyx", [[1], [-1]]), "differ")
    stored = DenoiseSettings(model=twice, device="cpu", store=True)
    with pytest.raises(Refused, match="shall be stored"):
        Pipeline.load(detect(differ), stored)


def test_channels_share_a_graph_unless_their_corrections_differ() -> None:
    image = np.ones((64, 64), np.uint16)
    flat = {"TRITC": np.full((64, 64), 2, np.float32)}
    for corrections, count in ((None, 1), (Corrections(None, flat), 2)):
        pipeline = Pipeline.load(
            DetectSettings(model="dog", device="cpu"), corrections=corrections
        )
        for channel, pixel_um in (
            ("FITC", 0.65),
            ("TRITC", 0.66),
            ("DAPI", 0.65),
            ("FITC", 0.64),
        ):
            pipeline.run(Planes((image,), (channel,), pixel_um))
        assert pipeline._graphs is not None
        assert len(pipeline._graphs) == count


def test_a_graph_is_kept_of_every_channel_with_a_flat_field_of_its_own() -> None:
    image = np.ones((64, 64), np.uint16)
    names = ("A", "B", "C", "D", "E", "none of its own")
    flats = {name: np.full((64, 64), 2, np.float32) for name in names[:-1]}
    pipeline = Pipeline.load(
        DetectSettings(model="dog", device="cpu"), corrections=Corrections(None, flats)
    )
    for name in names:
        pipeline.run(Planes((image,), (name,), 0.65))
    assert pipeline._graphs is not None
    for name in names:
        known = Planes((image,), (name,), 0.65)
        assert not pipeline._graphs.new(known, keep_restored=False), name
