"""The shipped models: rebuilt byte for byte, true to their reference, and useful."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smartscope.errors import Refused
from smartscope.inference import DetectSettings, Model, ModelPackage, Pipeline
from smartscope.inference.build_classical import build
from smartscope.zoo import zoo_names, zoo_path

SHAPE = (256, 256)
ROWS, COLUMNS = np.indices(SHAPE)


def frame(thing: np.ndarray, *, photons: float, ground: float, seed: int) -> np.ndarray:
    """Return counts of a camera with offset 100 and gain 1.5 that looks at a thing."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    light = rng.poisson(ground + photons * gaussian_filter(thing.astype(float), 1))
    return np.rint(100 + 1.5 * light + rng.normal(0, 2, SHAPE)).astype(np.uint16)


def ellipse(row: float, column: float, down: float, across: float) -> np.ndarray:
    return ((ROWS - row) / down) ** 2 + ((COLUMNS - column) / across) ** 2 <= 1


@pytest.fixture(scope="module")
def dog() -> Pipeline:
    return Pipeline.load(DetectSettings(model="dog", device="cpu"))


def count(pipeline: Pipeline, image: np.ndarray) -> int:
    candidates = pipeline.run(image).candidates
    assert candidates is not None
    return len(candidates)


def test_rebuilding_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in build(tmp_path):
        shipped = zoo_path(folder.name)
        assert sorted(p.name for p in folder.iterdir()) == sorted(
            p.name for p in shipped.iterdir()
        )
        for file in folder.iterdir():
            assert file.read_bytes() == (shipped / file.name).read_bytes(), file.name


@pytest.mark.parametrize("name", ["gaussian", "dog"])
def test_graph_is_true_to_its_reference(name: str) -> None:
    package = ModelPackage.load(name)
    assert package.test_input is not None
    assert package.test_output is not None
    model = Model(package, device="cpu")
    given, expected = np.load(package.test_input), np.load(package.test_output)
    got = model.predict(model.prepare(given[0, 0]))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-4)
    assert package.pixel_size_um == 0.65
    assert package.onnx.path.stat().st_size < 100_000


# bioimageio.spec leaves the files it has hashed open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("name", ["gaussian", "dog"])
def test_packages_are_valid_with_every_file_checked(name: str) -> None:
    import yaml
    from bioimageio.spec import InvalidDescr, ValidationContext, build_description

    folder = zoo_path(name)
    content = yaml.safe_load((folder / "bioimageio.yaml").read_text(encoding="utf-8"))
    described = build_description(
        content, context=ValidationContext(root=folder, log_warnings=False)
    )
    assert not isinstance(described, InvalidDescr), described.validation_summary


@pytest.mark.parametrize("photons", [1, 20, 400, 10_000])
def test_an_empty_noisy_frame_shows_nothing_at_any_exposure(
    dog: Pipeline, photons: int
) -> None:
    from scipy.ndimage import gaussian_filter

    nothing = np.zeros(SHAPE, bool)
    for seed in range(5):
        image = frame(nothing, photons=0, ground=photons, seed=seed)
        assert count(dog, image) == 0
        # noise that a denoiser has made smooth is noise all the same
        assert count(dog, gaussian_filter(image.astype(np.float32), 1)) == 0


@pytest.mark.parametrize(("photons", "ground"), [(10, 10), (40, 20), (4000, 500)])
@pytest.mark.parametrize("axes", [(9, 9), (6, 6), (14, 14), (7, 14), (10, 16)])
def test_a_nucleus_is_one_peak_at_its_centre(
    dog: Pipeline, axes: tuple[int, int], photons: int, ground: int
) -> None:
    image = frame(ellipse(120, 140, *axes), photons=photons, ground=ground, seed=1)
    inferred = dog.run(image)
    assert inferred.candidates is not None
    assert len(inferred.candidates) == 1
    at = (inferred.candidates.positions[0] + 0.5) * 2 - 0.5
    assert np.abs(at - (120, 140)).max() <= 3


@pytest.mark.parametrize("radius", [5, 6, 7, 8])
@pytest.mark.parametrize("apart", [17, 20, 24])
def test_daughters_are_two_peaks(dog: Pipeline, radius: int, apart: int) -> None:
    daughters = ellipse(128, 128 - apart / 2, radius, radius) | ellipse(
        128, 128 + apart / 2, radius, radius
    )
    assert count(dog, frame(daughters, photons=40, ground=20, seed=2)) == 2


def test_a_crowd_is_counted(dog: Pipeline) -> None:
    crowd = np.zeros(SHAPE, bool)
    for row in range(20, 240, 30):
        for column in range(20, 240, 30):
            crowd |= ellipse(row, column, 8, 8)
    assert count(dog, frame(crowd, photons=40, ground=20, seed=3)) == 64


def test_names() -> None:
    assert {"dog", "gaussian"} < set(zoo_names())
    with pytest.raises(Refused, match="Did you mean 'gaussian'"):
        zoo_path("gausian")
