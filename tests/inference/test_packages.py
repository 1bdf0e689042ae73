"""bioimage.io packages: both descriptions, folder and zip, every operation and axis."""

from __future__ import annotations

import gc
import stat
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from smartscope.errors import Refused
from smartscope.inference import Model, ModelPackage

MakeOnnx = Callable[..., Path]
IMAGE = np.arange(16 * 20, dtype=np.float32).reshape(1, 1, 16, 20)


@pytest.fixture
def package(
    make_onnx: MakeOnnx, packages: ModuleType, tmp_path: Path
) -> Callable[..., Path]:
    """Write a package around a graph that passes its image on."""

    def make(**kwargs: Any) -> Path:
        folder = tmp_path / "package"
        folder.mkdir(exist_ok=True)
        given = kwargs.pop("given", IMAGE)
        expected = kwargs.pop("expected", given)
        graph = kwargs.pop("graph", {})
        make_onnx("weights.onnx", folder=folder, **{"shape": given.shape, **graph})
        written: Path = packages.write_0_5(folder, given, expected, **kwargs)
        return written

    return make


# ------------------------------------------------------------------ folder and zip


@pytest.mark.parametrize("inside", ["", "my model/"])
def test_a_zip_is_read_and_leaves_nothing_behind(
    package: Callable[..., Path],
    packages: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    inside: str,
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(room))
    path = packages.zipped(package(), tmp_path / "p.zip", inside=inside)
    loaded, again = ModelPackage.load(path), ModelPackage.load(path)
    assert loaded.source == path
    assert loaded.onnx.path == again.onnx.path
    assert len(list(room.iterdir())) == 1
    model = Model(loaded, device="cpu")
    tensor = model.prepare(IMAGE[0, 0])
    np.testing.assert_array_equal(model.predict(tensor), IMAGE)
    del model, loaded, again
    gc.collect()
    assert not list(room.iterdir())


def leave(name: str, *, link: bool = False) -> Callable[[zipfile.ZipFile], None]:
    def add(archive: zipfile.ZipFile) -> None:
        entry = zipfile.ZipInfo(name)
        if link:
            entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, b"../../outside")

    return add


ZIP_SLIPS = {
    "up": leave("../outside.txt"),
    "up from within": leave("a/../../outside.txt"),
    "absolute": leave("/tmp/outside.txt"),
    "backslash": leave("..\\outside.txt"),
    "drive": leave("C:\\outside.txt"),
    "link": leave("weights.bin", link=True),
}


@pytest.mark.parametrize("case", ZIP_SLIPS)
def test_zip_slip_is_refused_and_writes_nothing(
    case: str,
    package: Callable[..., Path],
    packages: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = tmp_path / "deep" / "room"
    room.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(room))
    path = packages.zipped(package(), tmp_path / "p.zip")
    with zipfile.ZipFile(path, "a") as archive:
        ZIP_SLIPS[case](archive)
    with pytest.raises(Refused, match="leaves the folder"):
        ModelPackage.load(path)
    assert not list(room.iterdir())
    assert not (tmp_path / "outside.txt").exists()


def test_a_zip_that_is_cut_off_is_refused(
    package: Callable[..., Path], packages: ModuleType, tmp_path: Path
) -> None:
    path = packages.zipped(package(), tmp_path / "p.zip")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(Refused, match="cannot be unpacked"):
        ModelPackage.load(path)


def test_a_package_may_name_what_only_the_web_has(
    package: Callable[..., Path], tmp_path: Path
) -> None:
    far = "https://example.com/"
    weights = {
        "onnx": {"source": "weights.onnx", "opset_version": 18},
        "torchscript": {"source": f"{far}w.pt", "pytorch_version": "2.0"},
    }
    folder = package(covers=[f"{far}c.png"], documentation=f"{far}d.md")
    assert ModelPackage.load(folder).name
    assert ModelPackage.load(package(weights=weights)).name
    weights["onnx"]["source"] = f"{far}w.onnx"
    with pytest.raises(Refused, match="on the web"):
        ModelPackage.load(package(weights=weights))


# ------------------------------------------------------------------ axes and sizes


@pytest.mark.parametrize("letters", ["bcyx", "byxc", "bcxy", "yx", "cyx", "bxyc"])
def test_axes_in_any_order(letters: str, package: Callable[..., Path]) -> None:
    plane = IMAGE[0, 0]
    order = [a for a in letters if a in "yx"]
    tensor = plane if order == ["y", "x"] else plane.T
    given = tensor[tuple(slice(None) if a in "yx" else None for a in letters)]
    if "b" not in letters:
        graph = ModelPackage.load(package(given=given, letters=letters))
        assert graph.input.letters == letters
    model = Model(
        ModelPackage.load(package(given=given, letters=letters)), device="cpu"
    )
    prepared = model.prepare(plane)
    np.testing.assert_array_equal(prepared, given)
    np.testing.assert_array_equal(model.map(prepared, plane.shape), plane)


@pytest.mark.parametrize(
    ("size", "fits"),
    [
        ({"min": 16, "step": 1}, {1: 16, 16: 16, 17: 17}),
        ({"min": 16, "step": 8}, {16: 16, 17: 24, 33: 40}),
        (20, {20: 20, 5: 20, 21: None}),
    ],
)
def test_free_stepped_and_fixed_sizes(
    size: Any, fits: dict[int, int | None], package: Callable[..., Path]
) -> None:
    shape = (1, 1, "y", "x") if isinstance(size, dict) else (1, 1, 16, 20)
    sizes = {"y": size, "x": size} if isinstance(size, dict) else {}
    loaded = ModelPackage.load(package(sizes=sizes, graph={"shape": shape}))
    axis = loaded.input.axis("x")
    assert axis is not None
    assert {length: axis.padded(length) for length in fits} == fits


def test_a_frame_larger_than_a_fixed_size_is_refused_or_cut(
    package: Callable[..., Path],
) -> None:
    """A map of another size than the frame's never comes out unnoticed."""
    model = Model(ModelPackage.load(package()), device="cpu")
    assert model.padding((16, 20)).padded_shape == (16, 20)
    assert model.padding((9, 9)).padded_shape == (16, 20)


def test_halo_and_stride_are_told(package: Callable[..., Path]) -> None:
    sizes = {a: {"min": 16, "step": 4} for a in "yx"}
    folder = package(halo=6, sizes=sizes, graph={"shape": (1, 1, "y", "x")})
    output = ModelPackage.load(folder).output
    assert [a.halo for a in output.axes] == [0, 0, 6, 6]
    assert [a.stride for a in output.axes] == [1, 1, 1, 1]


def test_stardist_is_a_head(package: Callable[..., Path]) -> None:
    """The description tells the labels; the graph gives probability and rays."""
    kwargs = {
        "prob_threshold": 0.4,
        "nms_threshold": 0.3,
        "n_rays": 8,
        "grid": [2, 2],
        "b": 2,
    }
    labels = np.zeros((1, 1, 16, 20), np.uint16)
    pool = ("AveragePool", None, {"kernel_shape": [2, 2], "strides": [2, 2]})
    folder = package(
        expected=labels,
        after=[{"id": "stardist_postprocessing", "kwargs": kwargs}],
        graph={
            "ops": [pool, ("Mul", np.ones((1, 9, 1, 1), np.float32))],
            "out_shape": (1, 9, 8, 10),
        },
    )
    loaded = ModelPackage.load(folder)
    assert loaded.head.head == "stardist"
    assert (loaded.head.threshold, loaded.head.n_rays) == (0.4, 8)
    assert not loaded.output.steps
    assert loaded.output.channels == 9
    assert [a.stride for a in loaded.output.axes] == [1, 1, 2, 2]


# ------------------------------------------------------------------ operations

ROW = {
    "binarize": (
        {"id": "binarize", "kwargs": {"threshold": 7.0}},
        lambda a: (a > 7).astype(np.float32),
    ),
    "clip": (
        {"id": "clip", "kwargs": {"min": 3.0, "max": 40.0}},
        lambda a: np.clip(a, 3, 40),
    ),
    "clip to percentiles": (
        {"id": "clip", "kwargs": {"min_percentile": 5, "max_percentile": 90}},
        lambda a: np.clip(a, *np.percentile(a, [5, 90])),
    ),
    "ensure_dtype": (
        {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
        lambda a: a,
    ),
    "fixed": (
        {
            "id": "fixed_zero_mean_unit_variance",
            "kwargs": {"mean": 3.0, "std": 2.0},
        },
        lambda a: (a - 3) / 2,
    ),
    "fixed along an axis": (
        {
            "id": "fixed_zero_mean_unit_variance",
            "kwargs": {"mean": [3.0], "std": [2.0], "axis": "channel"},
        },
        lambda a: (a - 3) / 2,
    ),
    "linear": (
        {"id": "scale_linear", "kwargs": {"gain": 2.0, "offset": -1.0}},
        lambda a: 2 * a - 1,
    ),
    "linear along an axis": (
        {
            "id": "scale_linear",
            "kwargs": {"gain": [2.0], "offset": [-1.0], "axis": "channel"},
        },
        lambda a: 2 * a - 1,
    ),
    "range": (
        {
            "id": "scale_range",
            "kwargs": {"min_percentile": 2.0, "max_percentile": 99.0},
        },
        lambda a: (
            (a - np.percentile(a, 2)) / (np.ptp(np.percentile(a, [2, 99])) + 1e-6)
        ),
    ),
    "sigmoid": ({"id": "sigmoid"}, lambda a: 1 / (1 + np.exp(-a))),
    "softmax": (
        {"id": "softmax", "kwargs": {"axis": "x"}},
        lambda a: (
            np.exp(a - a.max(-1, keepdims=True))
            / np.exp(a - a.max(-1, keepdims=True)).sum(-1, keepdims=True)
        ),
    ),
    "zero mean": (
        {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["x", "y"]}},
        lambda a: (a - a.mean()) / (a.std() + 1e-6),
    ),
    "zero mean of rows": (
        {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["x"]}},
        lambda a: (a - a.mean(-1, keepdims=True)) / (a.std(-1, keepdims=True) + 1e-6),
    ),
}


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("case", ROW)
def test_every_operation_follows_its_formula(
    case: str, where: str, package: Callable[..., Path]
) -> None:
    step, formula = ROW[case]
    image = np.random.default_rng(3).normal(10, 8, (1, 1, 16, 20)).astype(np.float32)
    model = Model(
        ModelPackage.load(package(given=image, **{where: [step]})), device="cpu"
    )
    got = model.predict(model.prepare(image[0, 0]))
    np.testing.assert_allclose(
        got, formula(image.astype(np.float64)), rtol=1e-5, atol=1e-5
    )


OLD: dict[str, tuple[dict[str, Any], Callable[[Any], Any]]] = {
    "per sample": (
        {
            "name": "zero_mean_unit_variance",
            "kwargs": {"mode": "per_sample", "axes": "yx"},
        },
        lambda a: (a - a.mean()) / (a.std() + 1e-6),
    ),
    "fixed": (
        {
            "name": "zero_mean_unit_variance",
            "kwargs": {"mode": "fixed", "axes": "yx", "mean": [4.0], "std": [2.0]},
        },
        lambda a: (a - 4) / 2,
    ),
    "linear": (
        {
            "name": "scale_linear",
            "kwargs": {"gain": 3.0, "offset": [1.0], "axes": "yx"},
        },
        lambda a: 3 * a + 1,
    ),
    "range": (
        {
            "name": "scale_range",
            "kwargs": {"mode": "per_sample", "axes": "cyx", "max_percentile": 99},
        },
        lambda a: (a - a.min()) / (np.percentile(a, 99) - a.min() + 1e-6),
    ),
    "clip": (
        {"name": "clip", "kwargs": {"min": 2.0, "max": 9.0}},
        lambda a: a.clip(2, 9),
    ),
    "binarize": (
        {"name": "binarize", "kwargs": {"threshold": 9.0}},
        lambda a: (a > 9).astype(float),
    ),
    "sigmoid": ({"name": "sigmoid"}, lambda a: 1 / (1 + np.exp(-a))),
}


@pytest.mark.parametrize("case", OLD)
def test_operations_as_0_4_words_them(
    case: str, make_onnx: MakeOnnx, packages: ModuleType, tmp_path: Path
) -> None:
    step, formula = OLD[case]
    image = np.random.default_rng(3).normal(10, 8, (1, 1, 16, 20)).astype(np.float32)
    folder = tmp_path / "old"
    folder.mkdir()
    make_onnx("weights.onnx", folder=folder, shape=image.shape)
    model = Model(
        ModelPackage.load(packages.write_0_4(folder, image, image, before=[step])),
        device="cpu",
    )
    got = model.predict(model.prepare(image[0, 0]))
    np.testing.assert_allclose(
        got, formula(image.astype(np.float64)), rtol=1e-5, atol=1e-5
    )


def test_a_step_may_refer_to_its_own_tensor(package: Callable[..., Path]) -> None:
    step = {"id": "scale_range", "kwargs": {"reference_tensor": "raw"}}
    model = Model(ModelPackage.load(package(before=[step])), device="cpu")
    got = model.predict(model.prepare(IMAGE[0, 0]))
    np.testing.assert_allclose(got, IMAGE / IMAGE.max(), atol=1e-6)


REFUSED_STEPS = {
    "cellpose": (
        {
            "id": "cellpose_flow_dynamics",
            "kwargs": {
                "cellprob_threshold": 0.0,
                "flow_threshold": 0.4,
                "do_3D": False,
            },
        },
        "detector of your own",
    ),
    "each row by another tensor": (
        {
            "id": "scale_mean_variance",
            "kwargs": {"reference_tensor": "raw", "axes": ["x"]},
        },
        "by the statistics of 'raw', each place along 'y'",
    ),
    "stardist in 3-D": (
        {
            "id": "stardist_postprocessing",
            "kwargs": {
                "prob_threshold": 0.4,
                "nms_threshold": 0.3,
                "n_rays": 8,
                "grid": [1, 2, 2],
                "b": 2,
                "anisotropy": [1.0, 1.0, 1.0],
            },
        },
        "one plane",
    ),
}


@pytest.mark.parametrize("case", REFUSED_STEPS)
def test_processing_that_is_not_ours_is_refused_kindly(
    case: str, package: Callable[..., Path]
) -> None:
    step, words = REFUSED_STEPS[case]
    with pytest.raises(Refused, match=words):
        ModelPackage.load(package(after=[step]))


DESCRIPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "other rank": ({"graph": {"shape": (16, 20)}}, "has rank 2"),
    "other size": ({"graph": {"shape": (1, 1, 16, 24)}}, "must agree"),
    "other channels": (
        {"expected": np.zeros((1, 2, 16, 20), np.float32)},
        "must agree",
    ),
    "volume": (
        {"given": np.zeros((1, 1, 8, 16, 16), np.float32), "letters": "bczyx"},
        "planes of axis z",
    ),
}


@pytest.mark.parametrize("case", DESCRIPTIONS)
def test_a_description_that_does_not_fit_is_refused(
    case: str, package: Callable[..., Path]
) -> None:
    kwargs, words = DESCRIPTIONS[case]
    with pytest.raises(Refused, match=words):
        ModelPackage.load(package(**kwargs))
