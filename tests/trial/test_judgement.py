"""Models on trial: what passes, what does not, what a run says of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import tifffile
import yaml
from onnx import TensorProto, helper, numpy_helper
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from smartscope.cli import app
from smartscope.errors import Refused
from smartscope.inference import pack
from smartscope.loop import run
from smartscope.microscope import Microscope, open_microscope
from smartscope.pairs import PairFolder, read_pointed
from smartscope.preflight import check
from smartscope.settings import Experiment
from smartscope.trial import Judgement, tuned_gaussian, validate
from smartscope.validation import find_verdict, mean_interval, verdict_folder
from smartscope.validation.metrics import pearson

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _verdicts_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMARTSCOPE_VERDICTS", str(tmp_path / "verdicts"))


def net(path: Path, kernel: np.ndarray, bias: float = 0.0, **card: Any) -> Path:
    """Write a net of one convolution, and its card; ``kernel`` may be of frames."""
    size, channels = kernel.shape[-1], kernel.size // kernel.shape[-1] ** 2
    # zeros beyond the edge would be a dark frame around each image
    nodes = [
        helper.make_node("Pad", ["image", "margin"], ["padded"], mode="edge"),
        helper.make_node("Conv", ["padded", "kernel", "bias"], ["map"]),
    ]
    margin = np.array([0, 0, size // 2, size // 2] * 2, np.int64)
    weights = kernel.astype(np.float32).reshape(1, channels, size, size)
    port = [1, 1, "y", "x"]
    graph = helper.make_graph(
        nodes,
        "filter",
        [
            helper.make_tensor_value_info(
                "image", TensorProto.FLOAT, [1, channels, "y", "x"]
            )
        ],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, port)],
        [
            numpy_helper.from_array(margin, "margin"),
            numpy_helper.from_array(weights, "kernel"),
            numpy_helper.from_array(np.array([bias], np.float32), "bias"),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), str(path))
    path.with_suffix(".yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return path


@pytest.fixture
def smoothing(tmp_path: Path) -> Path:
    point = np.zeros((9, 9))
    point[4, 4] = 1
    # other units, and upside down in none of them
    return net(tmp_path / "smoothing.onnx", 0.01 * gaussian_filter(point, 1.2), -3.0)


@pytest.fixture
def idle(tmp_path: Path) -> Path:
    return net(tmp_path / "idle.onnx", np.ones((1, 1)))


def judge(model: Path | str, data: Path, **more: Any) -> Judgement:
    out = data.parent / f"judged_{len(list(data.parent.iterdir()))}"
    return validate(str(model), data, out, **more)


# ------------------------------------------------------------------ denoising


def test_a_model_that_helps_passes_in_whatever_units(
    smoothing: Path, write_pairs: Write
) -> None:
    told = judge(smoothing, write_pairs(6), microscope="simulated")
    assert told.passed
    assert "smoothing brings the data nearer to the truth: +" in told.says
    assert "mean of 6 positions" in told.says
    assert "Of so few positions" in told.says
    gain = told.told["gain_over_raw_db"]
    assert 0 < gain["interval"][0] <= gain["mean"] <= gain["interval"][1]
    means = told.told["mean"]
    assert means["gaussian"]["affine_psnr_db"] >= means["prediction"]["affine_psnr_db"]
    report = json.loads((told.folder / "report.json").read_text())
    assert [e["name"] for e in report["examples"]] == [f"a{i}" for i in range(6)]
    assert {"raw", "gaussian", "prediction"} <= report["examples"][0].keys()
    assert report["examples"][0]["raw"]["rse"] > 0
    assert (told.folder / "report.png").read_bytes()[1:4] == b"PNG"


def test_the_verdict_is_kept_by_model_and_microscope(
    smoothing: Path, write_pairs: Write
) -> None:
    told = judge(smoothing, write_pairs(), microscope="my scope/2")
    assert told.kept is not None
    assert told.kept.is_relative_to(verdict_folder())
    found = find_verdict(told.told["sha256"], "my scope/2")
    assert found is not None
    assert found.passed
    assert found.says == told.says
    assert find_verdict(told.told["sha256"], "simulated") is None
    assert find_verdict("0" * 64, "my scope/2") is None
    told.kept.write_text("{")
    assert find_verdict(told.told["sha256"], "my scope/2") is None


def test_a_model_that_does_nothing_does_not_pass(
    idle: Path, write_pairs: Write
) -> None:
    told = judge(idle, write_pairs())
    assert not told.passed
    assert told.told["gain_over_raw_db"]["mean"] == pytest.approx(0, abs=1e-6)
    assert "worse than a Gaussian" in told.says
    assert told.kept is None  # of no microscope


def test_a_model_that_harms_is_named_so(tmp_path: Path, write_pairs: Write) -> None:
    sharpen = np.full((3, 3), -1.0)
    sharpen[1, 1] = 9.0
    told = judge(net(tmp_path / "sharp.onnx", sharpen), write_pairs())
    assert "takes the data farther from the truth" in told.says
    assert "In 5 of 5 images" in told.says


def test_a_model_of_several_frames_is_judged_on_frames_with_others_before(
    tmp_path: Path, write_pairs: Write
) -> None:
    rng = np.random.default_rng(0)
    images = {}
    for i in range(5):
        clean = 2000 + 5000 * (gaussian_filter(rng.random((64, 64)), 2) - 0.5)
        images[f"clean{i}"] = clean.astype(np.float32)
        images[f"noisy{i}"] = rng.poisson(np.repeat(clean[None], 3, 0)).astype("u2")
    mean = net(
        tmp_path / "three.onnx", np.full((3, 1, 1), 1 / 3), channels_are="frames"
    )
    told = judge(mean, write_pairs(5, **images))
    # a third of the variance, and only of frames that have two before them
    gain = told.told["gain_over_raw_db"]["mean"]
    assert gain == pytest.approx(10 * np.log10(3), abs=0.5)
    with pytest.raises(Refused, match="1 noisy frame, and three sees 3 at once"):
        judge(mean, write_pairs(5))


def test_the_same_truths_give_the_same_verdict(
    smoothing: Path, write_pairs: Write
) -> None:
    data = write_pairs()
    one, other = judge(smoothing, data), judge(smoothing, data)
    for name in ("made",):
        one.told.pop(name), other.told.pop(name)
    assert one.told == other.told


def test_a_finding_model_is_not_judged_by_clean_images(write_pairs: Write) -> None:
    with pytest.raises(Refused, match="finds things"):
        judge("dog", write_pairs())


def test_what_a_model_was_trained_on_does_not_judge_it(
    smoothing: Path, write_pairs: Write
) -> None:
    data = write_pairs()
    seen = PairFolder.open(data).examples[2].sha256
    for number, (learned, refused) in enumerate(
        [(["0" * 16, seen[:16]], True), (["0" * 16], False)]
    ):
        package = smoothing.with_name(f"packed{number}")
        pack(smoothing, package, record={"learned_from": learned})
        if refused:
            with pytest.raises(Refused, match=r"trained on 1 of these images \(a2\)"):
                judge(package, data, split="all")
            told = judge(package, data)
            assert told.told["left_out"] == ["a2"]
            assert "One image that it has learned from was left out" in told.says
            names = [example["name"] for example in told.told["examples"]]
            assert "a2" not in names
            assert len(names) == len(PairFolder.open(data).examples) - 1
        else:
            assert judge(package, data).told["left_out"] == []


@pytest.mark.parametrize("sigma", [0.0, 1.5, 3.0])
def test_the_gaussian_is_tuned(sigma: float) -> None:
    rng = np.random.default_rng(0)
    clean = gaussian_filter(rng.normal(size=(96, 96)), 4) * 300
    if sigma == 0:
        noisy = clean.copy()
    else:
        noisy = clean + rng.normal(0, 20 * sigma, clean.shape)
    told = tuned_gaussian(noisy, clean)
    assert pearson(told.image, clean) >= pearson(noisy, clean)
    finer = [pearson(gaussian_filter(noisy, s), clean) for s in np.arange(0.1, 10, 0.1)]
    assert pearson(told.image, clean) >= max(finer) - 1e-3
    assert (told.sigma_px == 0) == (sigma == 0)


# ------------------------------------------------------------------ finding


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Six images of discs, with their labels."""
    folder = tmp_path / "labelled"
    y, x = np.mgrid[:96, :96]
    for i in range(6):
        labels = np.zeros((96, 96), np.uint16)
        for n, (row, column) in enumerate([(20, 24), (22, 70), (70, 30), (68, 72)]):
            labels[(y - row - i) ** 2 + (x - column) ** 2 < 81] = 5 * (n + 1)
        light = gaussian_filter(300.0 * (labels > 0), 1) + 20
        image = np.random.default_rng(i).poisson(light).astype(np.uint16)
        for kind, pixels in (("images", image), ("labels", labels)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(folder / kind / f"{i}.tif", pixels)
    return folder


def test_masks_are_judged_by_their_overlap(tmp_path: Path, labelled: Path) -> None:
    card = {"head": "components"}
    model = net(tmp_path / "bright.onnx", np.full((1, 1), 0.003), **card)
    told = judge(model, labelled, pixel_size_um=0.65, microscope="simulated")
    assert told.passed
    assert "bright finds what is there: F1 1.00" in told.says
    assert told.told["prediction"]["ap"]["mean"] == 1
    assert told.told["ap_by_iou"]["0.5"] == 1
    assert told.told["watershed"]["f1"]["mean"] > 0.5
    assert (told.folder / "report.png").is_file()
    verdict = find_verdict(told.told["sha256"], "simulated")
    assert verdict is not None
    assert verdict.role == "detect"


def test_a_blind_model_does_not_pass(tmp_path: Path, labelled: Path) -> None:
    model = net(tmp_path / "blind.onnx", np.zeros((1, 1)), head="components")
    told = judge(model, labelled, pixel_size_um=0.65)
    assert not told.passed
    assert "blind does not find what is there: F1 0.00" in told.says


def test_centres_are_judged_by_where_they_lie(labelled: Path) -> None:
    told = judge("dog", labelled, pixel_size_um=0.65)
    assert "centres" in told.says
    assert told.told["prediction"]["recall"]["mean"] > 0.9


def pointed(folder: Path, images: int = 5, *, moving: bool = False) -> Path:
    """Blobs, of which in a movie one flashes up in a frame."""
    pictures, tables = ("movies", "events") if moving else ("images", "points")
    for name in (pictures, tables):
        (folder / name).mkdir(parents=True)
    for i in range(images):
        rng = np.random.default_rng(i)
        light = np.full((6 if moving else 1, 96, 96), 20.0)
        rows = []
        for n, (row, column) in enumerate([(24, 28), (30, 70), (70, 40)]):
            t, at = (2 + n if moving else 0), (row + i, column)
            light[(t, *at)] += 40_000
            rows.append(f"{t},{at[0]},{at[1]}" if moving else f"{at[0]},{at[1]}")
        light = gaussian_filter(light, (0, 6, 6))
        frames = rng.poisson(light).astype(np.uint16)
        tifffile.imwrite(
            folder / pictures / f"{i}.tif", frames if moving else frames[0]
        )
        head = "frame,y,x" if moving else "y,x"
        (folder / tables / f"{i}.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder


def test_points_are_judged_by_how_near_something_is_found(tmp_path: Path) -> None:
    data = pointed(tmp_path / "points")
    told = judge("dog", data, pixel_size_um=0.65, microscope="simulated")
    assert told.passed, told.says
    assert "finds what is there: F1 of points within 6 px" in told.says
    assert told.told["prediction"]["f1"] == {"mean": 1, "interval": (1, 1)}
    assert told.told["tuned_log"]["f1"]["mean"] == 1
    assert "A Laplacian of a Gaussian" in told.says
    low, high = told.told["prediction"]["recall"]["interval"]
    assert low < 1 == high
    assert told.told["examples"][0]["prediction"]["tp"] == 3
    assert (told.folder / "report.png").stat().st_size > 10_000
    assert find_verdict(told.told["sha256"], "simulated") is not None
    near = judge("dog", data, pixel_size_um=0.65, within_px=0.01)
    assert near.told["prediction"]["f1"]["mean"] < 1


def test_events_are_judged_by_place_and_frame(tmp_path: Path) -> None:
    data = pointed(tmp_path / "events", moving=True)
    # brighter than in the frame before
    newer = np.array([-0.02, 0.02]).reshape(2, 1, 1)
    card = {"head": "peaks", "channels_are": "frames", "threshold": 0.9}
    card["min_distance_um"] = 8.0
    model = net(tmp_path / "newer.onnx", newer, **card)
    told = judge(model, data, pixel_size_um=0.65)
    assert told.passed, told.says
    assert told.told["late_frames"] == {"median": 0, "max": 0}
    assert "events within 6 px and a frame" in told.says
    assert "tuned_log" not in told.told
    assert "Laplacian" not in told.says
    still = net(tmp_path / "blind.onnx", np.zeros((2, 1, 1)), **card)
    blind = judge(still, data, pixel_size_um=0.65)
    assert not blind.passed
    assert blind.told["late_frames"] == {"median": None, "max": None}


def test_points_judge_models_that_find(idle: Path, tmp_path: Path) -> None:
    data = pointed(tmp_path / "points")
    with pytest.raises(Refused, match="restores images, and the truths are points"):
        judge(idle, data)
    with pytest.raises(Refused, match="too few images: 1"):
        judge("dog", pointed(tmp_path / "one", images=1))


def test_points_that_a_model_has_learned_from_are_left_out(tmp_path: Path) -> None:
    data = pointed(tmp_path / "points")
    seen = read_pointed(data)[1].sha256
    bare = net(tmp_path / "bare.onnx", np.full((1, 1), 0.003), head="peaks")
    package = tmp_path / "packed"
    record = {"learned_from": [seen[:16]], "settings": {"distance_px": 3.0}}
    pack(bare, package, record=record)
    told = judge(package, data, pixel_size_um=0.65)
    assert told.told["left_out"] == ["1"]
    assert told.told["measure"] == "f1 of points within 3 px"
    with pytest.raises(Refused, match="trained on 1"):
        judge(package, data, pixel_size_um=0.65, split="all")


# ------------------------------------------------------------------ what a run says


@pytest.fixture(scope="module")
def scope() -> Iterator[Microscope]:
    with open_microscope("simulated", specimen={"time": "virtual"}) as scope:
        yield scope


def experiment(denoise: Path | str) -> Experiment:
    return Experiment.parse(
        {
            "specimen": {"time": "virtual", "cells": 3},
            "survey": {"channels": [{"config": "FITC", "exposure": 5}]},
            "analysis": {"detect": "dog", "denoise": str(denoise)},
            "storage": {"reserve_mb": 0},
        }
    )


def test_a_run_says_what_is_known_of_its_models(
    scope: Microscope, smoothing: Path, idle: Path, write_pairs: Write
) -> None:
    def said(model: Path | str) -> str:
        return " ".join(check(experiment(model), scope).notices)

    # the classical ones are exempt
    assert "erdict" not in said("gaussian")
    assert "No verdict: nobody has shown that smoothing (denoise)" in said(smoothing)
    data = write_pairs()
    judge(smoothing, data, microscope="another")
    assert "No verdict" in said(smoothing)
    judge(smoothing, data, microscope="simulated")
    assert "erdict" not in said(smoothing)
    judge(idle, data, microscope="simulated")
    assert "FAILED VERDICT" in said(idle)
    smoothing.with_suffix(".yaml").write_text("pixel_size_um: 0.65\n")
    assert "is described otherwise" in said(smoothing)


def test_the_notice_stands_in_the_record_of_the_run(
    smoothing: Path, tmp_path: Path
) -> None:
    result = run(experiment(smoothing), tmp_path / "run", in_process=True)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert any("No verdict" in notice for notice in record["notices"])
    assert any("No verdict" in notice for notice in result.summary["notices"])


# ------------------------------------------------------------------ the command


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["validate", *map(str, arguments)])


def test_the_command_tells_and_ends_with_its_code(
    smoothing: Path, idle: Path, write_pairs: Write, tmp_path: Path
) -> None:
    data = write_pairs()
    done = call(smoothing, "--data", data, "--out", tmp_path / "a", "--microscope", "m")
    assert done.exit_code == 0, done.stderr
    assert "passed" in done.stdout
    assert "PSNR" in done.stdout
    done = call(idle, "--data", data, "--out", tmp_path / "b")
    assert done.exit_code == 1
    assert "NOT PASSED" in done.stdout
    assert "--microscope" in done.stdout
    done = call(idle, "--data", data, "--out", tmp_path / "b")
    assert done.exit_code == 2
    assert "exists" in done.stderr
    done = call(idle, "--data", data, "--split", "tset")
    assert done.exit_code == 2
    assert "Did you mean 'test'?" in done.stderr
    done = call("gausian", "--data", data)
    assert done.exit_code == 2
    assert "Did you mean 'gaussian'?" in done.stderr


def test_a_refusal_leaves_nothing_behind(
    smoothing: Path, write_pairs: Write, tmp_path: Path
) -> None:
    done = call(smoothing, "--data", write_pairs(2), "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "too few images" in done.stderr
    assert not (tmp_path / "out").exists()


# ------------------------------------------------------------------ intervals


def test_the_interval_of_a_mean_covers_it_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for i in range(60):
        low, high = mean_interval(rng.normal(3, 1, 20).tolist(), seed=i)
        covered += low <= 3 <= high
    assert 50 <= covered <= 60
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 2.0)
    with pytest.raises(ValueError, match="finite"):
        mean_interval([1.0, float("inf")])
