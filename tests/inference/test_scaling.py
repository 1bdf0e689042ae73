"""Statistics over a series: what they are, when they freeze, that they are kept."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference.frame_statistics import mean_and_variance, percentiles
from smartscope.inference.normalize import chain
from smartscope.inference.scaling import Scaling
from smartscope.inference.settings import NormalisationSettings
from smartscope.inference.tensor import Axis, Step, TensorSpec

MEAN = Step("zero_mean_unit_variance", {"axes": ["y", "x"]})
RANGE = Step(
    "scale_range", {"axes": ["y", "x"], "min_percentile": 2.0, "max_percentile": 99.0}
)
ONE = ("DAPI",)
TWO = ("DAPI", "FITC")


def spec(*steps: Step, letters: str = "bcyx", channels: int = 1) -> TensorSpec:
    sizes = {"b": 1, "c": channels}
    axes = tuple(Axis(a, sizes.get(a)) for a in letters)
    return TensorSpec("raw", axes, steps=steps)


def scaling(
    over: str | None,
    *steps: Step,
    channels: int = 1,
    letters: str = "bcyx",
    **more: Any,
) -> Scaling:
    asked = None if over is None else NormalisationSettings(over=over, **more)
    given = spec(*(steps or (MEAN,)), letters=letters, channels=channels)
    return Scaling(asked, given, name="series")


def frames(n: int, seed: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        rng.poisson(rng.uniform(20, 400), (12, 10)).astype(np.uint16) for _ in range(n)
    ]


counts = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16]),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)


@given(st.lists(counts, min_size=1, max_size=1), st.floats(0, 100))
def test_percentiles_of_counts_are_numpys(
    planes: list[np.ndarray], percentile: float
) -> None:
    found = percentiles(planes, (0, percentile, 100))
    assert list(found) == np.percentile(planes[0], (0, percentile, 100)).tolist()


@given(counts)
def test_mean_and_variance_of_counts(plane: np.ndarray) -> None:
    mean, variance = mean_and_variance([plane, plane])
    assert mean == pytest.approx(plane.mean(dtype=np.float64), rel=1e-12)
    exact = np.var(plane.astype(np.longdouble))
    assert variance == pytest.approx(float(exact), rel=1e-9, abs=1e-9)


def test_several_planes_are_measured_together() -> None:
    planes = frames(3)
    whole = np.stack(planes)
    assert percentiles(planes, (7, 93)) == tuple(np.percentile(whole, (7, 93)))
    as_floats = [p.astype(np.float32) for p in planes]
    assert percentiles(as_floats, (7, 93)) == pytest.approx(
        np.percentile(whole, (7, 93))
    )
    assert mean_and_variance(as_floats) == pytest.approx(
        (whole.mean(), whole.var()), rel=1e-9
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("step", [MEAN, RANGE], ids=["mean", "range"])
@pytest.mark.parametrize("before", [(), ({"gain": 0.5, "offset": 3.0},)])
def test_a_series_of_one_frame_is_the_frame_for_itself(
    step: Step, before: Any, dtype: Any
) -> None:
    steps = (*(Step("scale_linear", k) for k in before), step, Step("sigmoid"))
    series = scaling("series", *steps, frames=1)
    plane = frames(1)[0].clip(0, 255).astype(dtype)
    series.learn([plane], ONE)
    tensor = plane[None, None]
    got = chain(series.steps, "bcyx")(tensor, {"series": series.values(ONE)})
    np.testing.assert_allclose(got, chain(steps, "bcyx")(tensor), rtol=1e-4, atol=1e-6)


def test_a_series_is_the_pooled_mean_and_deviation_then_frozen() -> None:
    series = scaling("series", frames=3)
    seen = frames(5)
    seen[1] = seen[1][:7]  # of another size: pooled by pixels
    for frame in seen:
        series.learn([frame], ONE)
    together = np.concatenate([f.reshape(-1) for f in seen[:3]])
    expected = [[together.mean()], [together.std() + 1e-6]]
    np.testing.assert_allclose(series.values(ONE), expected, rtol=1e-6)
    assert not series.learning(ONE)
    assert series.learning(("FITC",))


def test_a_series_of_percentiles_is_their_mean() -> None:
    series = scaling("series", RANGE, frames=3)
    seen = frames(4)
    for frame in seen:
        series.learn([frame], ONE)
    low, high = np.mean([np.percentile(f, (2, 99)) for f in seen[:3]], axis=0)
    np.testing.assert_allclose(
        series.values(ONE), [[low], [high - low + 1e-6]], rtol=1e-6
    )
    assert "mean of each frame's percentiles" in series.told


def test_running_forgets_and_never_freezes() -> None:
    running = scaling("running", frames=4)
    dark, bright = np.full((5, 5), 100, np.uint16), np.full((5, 5), 300, np.uint16)
    for _ in range(10):
        running.learn([dark], ONE)
    assert running.values(ONE)[0] == 100
    running.learn([bright], ONE)
    np.testing.assert_allclose(running.values(ONE)[0], 150)
    for _ in range(60):
        running.learn([bright], ONE)
    np.testing.assert_allclose(running.values(ONE)[0], 300, rtol=1e-5)
    assert running.learning(ONE)


def test_running_begins_as_the_pooled_series() -> None:
    running, series = scaling("running", frames=9), scaling("series", frames=9)
    for frame in frames(6):
        running.learn([frame], ONE)
        series.learn([frame], ONE)
    np.testing.assert_allclose(running.values(ONE), series.values(ONE), rtol=1e-6)


def test_fixed_values_are_there_from_the_start() -> None:
    fixed = scaling("fixed", values=(50, 12))
    assert not fixed.learning(ONE)
    np.testing.assert_allclose(fixed.values(ONE), [[50], [12]], rtol=1e-6)
    in_range = scaling("fixed", RANGE, values=(100, 900))
    np.testing.assert_allclose(in_range.values(ONE), [[100], [800]], rtol=1e-6)
    pairs = scaling("fixed", values=((50, 12), (70, 9)), channels=2)
    np.testing.assert_allclose(pairs.values(TWO), [[50, 70], [12, 9]], rtol=1e-6)
    assert fixed.told == "fixed: mean 50, standard deviation 12"
    assert in_range.told == "fixed: 100 becomes 0, 900 becomes 1"


@pytest.mark.parametrize(
    ("step", "values", "channels"),
    [
        (MEAN, (50, 0), 1),
        (MEAN, (50, -1), 1),
        (RANGE, (900, 100), 1),
        (MEAN, ((50, 1), (50, 1)), 3),
    ],
)
def test_wrong_fixed_values_are_refused(step: Step, values: Any, channels: int) -> None:
    with pytest.raises(Refused, match="normalisation"):
        scaling("fixed", step, values=values, channels=channels)


def test_each_channel_has_its_own_and_the_newest_frame_counts() -> None:
    series = scaling("series", frames=1, channels=2)
    a, b, c, d = frames(4)
    series.learn([a, b, c, d], TWO)  # two channels of two frames, the oldest first
    np.testing.assert_allclose(series.values(TWO)[0], [b.mean(), d.mean()], rtol=1e-6)
    np.testing.assert_allclose(series.values(("FITC",))[0], [d.mean()], rtol=1e-6)


@pytest.mark.parametrize("axes", [None, ["c", "y", "x"]])
@pytest.mark.parametrize("step", [MEAN, RANGE], ids=["mean", "range"])
def test_channels_normalised_together(step: Step, axes: Any) -> None:
    together = Step(step.id, {**step.kwargs, "axes": axes})
    series = scaling("series", together, frames=1, channels=2)
    planes = frames(2)
    series.learn(planes, TWO)
    tensor = np.stack(planes)[None]
    got = chain(series.steps, "bcyx")(tensor, {"series": series.values(TWO)})
    np.testing.assert_allclose(got, chain([together], "bcyx")(tensor), atol=1e-5)
    assert "all channels together" in series.told


def test_frames_as_channels_share_the_values_of_their_channel() -> None:
    series = scaling("series", frames=1, channels=3)
    planes = frames(3)
    series.learn(planes, ONE)
    table = series.values(ONE, 3)
    assert table.shape == (2, 3)
    np.testing.assert_allclose(table[0], planes[-1].mean(), rtol=1e-6)


@pytest.mark.parametrize("letters", ["bcyx", "byxc", "xyc", "yx"])
def test_steps_before_are_done_before_it_learns(letters: str) -> None:
    channels = 2 if "c" in letters else 1
    steps = (Step("clip", {"min": 60.0, "max": 200.0}), MEAN)
    series = scaling("series", *steps, frames=1, channels=channels, letters=letters)
    planes = frames(channels)
    series.learn(planes, TWO[:channels])
    expected = [p.clip(60, 200).mean() for p in planes]
    np.testing.assert_allclose(series.values(TWO[:channels])[0], expected, rtol=1e-5)


over = st.sampled_from(["series", "running"])
frame_lists = st.lists(
    hnp.arrays(np.uint16, (3, 4), elements=st.integers(0, 4000)), max_size=8
)


@settings(deadline=None)
@given(
    over, st.sampled_from([MEAN, RANGE]), st.integers(1, 6), frame_lists, frame_lists
)
def test_a_restored_series_goes_on_exactly_as_it_would_have(
    how: str, step: Step, n: int, first: list[np.ndarray], then: list[np.ndarray]
) -> None:
    kept = scaling(how, step, frames=n)
    for frame in [np.arange(12, dtype=np.uint16).reshape(3, 4), *first]:
        kept.learn([frame], ONE)
    restored = scaling(how, step, frames=n)
    restored.restore(json.loads(json.dumps(kept.state())))
    assert restored.state() == kept.state()
    for frame in then:
        kept.learn([frame], ONE)
        restored.learn([frame], ONE)
        assert restored.values(ONE).tobytes() == kept.values(ONE).tobytes()
        assert restored.learning(ONE) is kept.learning(ONE)


def test_what_a_warm_up_learned_is_forgotten() -> None:
    series = scaling("series", frames=2)
    before = series.state()
    series.learn([np.zeros((4, 4), np.uint16)], ONE)
    series.restore(before)
    with pytest.raises(AnalysisFailed, match="no frame yet"):
        series.values(ONE)


def test_a_frame_that_is_not_finite_is_left_out() -> None:
    series = scaling("series", frames=2)
    good = frames(1)[0].astype(np.float32)
    series.learn([good], ONE)
    series.learn([np.full((4, 4), np.nan, np.float32)], ONE)
    np.testing.assert_allclose(series.values(ONE)[0], good.mean(), rtol=1e-6)
    assert series.learning(ONE)


@pytest.mark.parametrize(
    ("axes", "is_series"),
    [(["b", "y", "x"], True), (["batch", "c", "y", "x"], True), (["y", "x"], False)],
)
def test_the_package_says_over_what(axes: Any, is_series: bool) -> None:
    asked_nothing = scaling(None, Step(MEAN.id, {"axes": axes}))
    assert asked_nothing.active is is_series
    assert asked_nothing.told.startswith("series" if is_series else "each frame")
    assert not scaling("frame", Step(MEAN.id, {"axes": axes})).active


def test_inactive_changes_nothing() -> None:
    for made in (scaling(None), scaling("frame")):
        assert made.steps == (MEAN,)
        assert not made.learning(ONE)
        made.learn(frames(1), ONE)
        assert made.state() == {}


@pytest.mark.parametrize("how", ["frame", "series", "running"])
def test_normalisation_without_a_step_for_it_is_refused(how: str) -> None:
    steps = (Step("scale_linear", {"gain": 0.5}),)
    with pytest.raises(Refused, match="no step before the model takes statistics"):
        scaling(how, *steps)
    assert scaling(None, *steps).told == "scale_linear gain 0.5"


def test_a_series_of_rows_is_refused() -> None:
    with pytest.raises(Refused, match="along x only"):
        scaling("series", Step(MEAN.id, {"axes": ["x"]}))
