"""Each head in the graph gives what the same head gives in numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smartscope.inference.graph import GraphTail
from smartscope.inference.heads.boxes import (
    BOX_CLASSES,
    BOX_SCORES,
    BOXES,
    BoxHead,
    thin_boxes,
)
from smartscope.inference.heads.class_peaks import ClassPeakHead
from smartscope.inference.heads.classes import ClassHead
from smartscope.inference.heads.head import HEALTH, Head, health_of
from smartscope.inference.heads.labels import LabelHead
from smartscope.inference.heads.stardist import (
    STAR_POINTS,
    STAR_RAYS,
    STAR_SCORES,
    StarHead,
)

Run = Callable[..., dict[str, np.ndarray]]


def in_graph(head: Head, ranks: tuple[int, ...] = (4,)) -> Run:
    """Return the head as a graph of its own: outputs of a net in, its arrays out."""
    tail = GraphTail(18)
    names = [f"given{i}" for i in range(len(ranks))]
    for name, rank in zip(names, ranks, strict=True):
        tail.input(name, [f"{name}_{axis}" for axis in range(rank)])
    head.append(tail, names)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        tail.serialized(), options, providers=["CPUExecutionProvider"]
    )
    asked = [*head.names, HEALTH]

    def run(*arrays: np.ndarray) -> dict[str, np.ndarray]:
        gave = session.run(asked, dict(zip(names, arrays, strict=True)))
        return dict(zip(asked, gave, strict=True))

    return run


def image_like(
    channels: int, last: bool, values: st.SearchStrategy[float]
) -> st.SearchStrategy[np.ndarray]:
    def shape(size: tuple[int, int]) -> tuple[int, ...]:
        return (1, *size, channels) if last else (1, channels, *size)

    sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))
    return sizes.flatmap(lambda s: hnp.arrays(np.float32, shape(s), elements=values))


# few values, so that equal ones occur; and none that rounding could part
FEW = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
BOX_HEADS = [
    BoxHead("yolo8", threshold=0.4),
    BoxHead("yolo8", corners=True, threshold=0.4, overlap=0.2),
    BoxHead("yolo8_rows", threshold=0.4),
    BoxHead("yolo5", threshold=0.2),
    BoxHead("nms_inside", corners=True, threshold=0.4),
]
BOX_GRAPHS = [in_graph(h, (3,)) for h in BOX_HEADS]


@st.composite
def box_rows(draw: st.DrawFn, extra: int) -> np.ndarray:
    """Boxes on whole pixels, so that areas are exact, and scores that all differ."""
    n = draw(st.integers(0, 25))
    whole = st.integers(0, 40)
    rows = np.zeros((n, 4 + extra), np.float32)
    for row in rows:
        x, y, wide, high = (draw(whole) for _ in range(4))
        row[:4] = [x, y, x + 2 * wide, y + 2 * high]
    order = draw(st.permutations(range(n * extra)))
    rows[:, 4:] = ((np.array(order, np.float32) + 1) / (n * extra + 1)).reshape(
        n, extra
    )
    return rows


@pytest.mark.parametrize("which", range(len(BOX_HEADS)))
@given(st.data())
@settings(max_examples=40)
def test_boxes(which: int, data: st.DataObject) -> None:
    head = BOX_HEADS[which]
    rows = data.draw(box_rows(2 if head.layout == "nms_inside" else 3))
    if head.layout == "nms_inside":
        rows[:, 5] = np.rint(rows[:, 5] * 5)
    tensor = rows.T[None] if head.layout == "yolo8" else rows[None]
    tensor = np.ascontiguousarray(tensor)
    got, expected = BOX_GRAPHS[which](tensor), head.find([tensor])
    for name in head.names:
        np.testing.assert_array_equal(got[name], expected[name], err_msg=name)
    assert got[HEALTH] == 0


@given(box_rows(1), st.sampled_from([0.05, 0.3, 0.5, 0.9, 1.0]))
@settings(max_examples=60)
def test_thinning_is_the_runtimes(rows: np.ndarray, overlap: float) -> None:
    # as the operator of the runtime does it, and so does torchvision's nms: of boxes in
    # the order of their scores, those with IoU > overlap to one that stays are dropped
    rows = rows[np.argsort(-rows[:, 4])]
    tail = GraphTail(18)
    for name, rank in (("boxes", 3), ("scores", 3)):
        tail.input(name, [f"{name}{i}" for i in range(rank)])
    most = tail.constant(np.array([1000], np.int64))
    at = tail.constant(np.array([overlap], np.float32))
    chosen = tail.node("NonMaxSuppression", ["boxes", "scores", most, at])
    tail.output(chosen, "chosen", "int64", [None, 3])
    session = ort.InferenceSession(
        tail.serialized(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(
        ["chosen"],
        {"boxes": rows[None, :, :4], "scores": rows[:, 4].reshape(1, 1, -1)},
    )
    np.testing.assert_array_equal(thin_boxes(rows[:, :4], overlap), expected[:, 2])


STARS = [
    (StarHead("bcyx", 5, threshold=0.4), False, False),
    (StarHead("byxc", 5, threshold=0.4), True, False),
    (StarHead("bcyx", 5, 1, 0, 0.4), False, True),
    (StarHead("byxc", 5, 0, 1, 0.4), True, True),
]
STAR_GRAPHS = [in_graph(h, (4, 4) if two else (4,)) for h, _, two in STARS]


@pytest.mark.parametrize("which", range(len(STARS)))
@given(st.data())
@settings(max_examples=30)
def test_stars(which: int, data: st.DataObject) -> None:
    head, last, two = STARS[which]
    whole = data.draw(image_like(6, last, FEW))
    outputs = [whole]
    if two:
        probability, rays = (
            (whole[..., :1], whole[..., 1:]) if last else (whole[:, :1], whole[:, 1:])
        )
        outputs = [probability, rays] if head.probability == 0 else [rays, probability]
        outputs = [np.ascontiguousarray(a) for a in outputs]
    got, expected = STAR_GRAPHS[which](*outputs), head.find(outputs)
    assert (np.diff(got[STAR_SCORES]) <= 0).all()
    order, other = (
        np.lexsort((*f[STAR_POINTS].T[::-1], -f[STAR_SCORES])) for f in (got, expected)
    )
    for name in (STAR_POINTS, STAR_SCORES, STAR_RAYS):
        np.testing.assert_array_equal(got[name][order], expected[name][other])


PEAKS = [
    ClassPeakHead("bcyx", (0, 1, 2), None, 0.3),
    ClassPeakHead("bcyx", (0, 3), (2, 1), 0.3),
    ClassPeakHead("byxc", (0, 3), (2, 1), 0.3),
]
PEAK_GRAPHS = [in_graph(h) for h in PEAKS]


@pytest.mark.parametrize("which", range(len(PEAKS)))
@given(image_like(4, False, FEW))
@settings(max_examples=40)
def test_class_peaks(which: int, image: np.ndarray) -> None:
    head = PEAKS[which]
    if head.letters == "byxc":
        image = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    got, expected = PEAK_GRAPHS[which](image), head.find([image])

    def rows(found: dict[str, np.ndarray]) -> list[list[float]]:
        parts = [np.asarray(found[n], float) for n in head.names]
        table = np.concatenate(
            [p.reshape(len(p), p.shape[1] if p.ndim == 2 else 1) for p in parts], axis=1
        )
        return sorted(table.tolist())

    assert rows(got) == rows(expected)


LABEL_HEAD = LabelHead("bcyx")
LABEL_GRAPH = in_graph(LABEL_HEAD)
LABEL_GRAPH_LAST = in_graph(LabelHead("byxc"))
CLASS_HEAD = ClassHead(3)
CLASS_GRAPH = in_graph(CLASS_HEAD, (2,))


@given(image_like(1, False, st.integers(0, 9).map(float)))
def test_labels(image: np.ndarray) -> None:
    got, expected = LABEL_GRAPH(image), LABEL_HEAD.find([image])
    turned = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    last = LABEL_GRAPH_LAST(turned)[LABEL_HEAD.names[0]]
    np.testing.assert_array_equal(last, image[0, 0])
    np.testing.assert_array_equal(got[LABEL_HEAD.names[0]], image[0, 0])
    np.testing.assert_array_equal(expected[LABEL_HEAD.names[0]], image[0, 0])


@given(hnp.arrays(np.float32, (1, 3), elements=st.floats(0, 1, width=32)))
def test_classes(scores: np.ndarray) -> None:
    (name,) = CLASS_HEAD.names
    np.testing.assert_array_equal(CLASS_GRAPH(scores)[name], scores[0])
    np.testing.assert_array_equal(CLASS_HEAD.find([scores])[name], scores[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_told(value: float) -> None:
    image = np.zeros((1, 6, 8, 8), np.float32)
    image[0, 0, 3, 3] = value
    for run, array in (
        (STAR_GRAPHS[0], image),
        (PEAK_GRAPHS[0], image[:, :4]),
        (LABEL_GRAPH, image[:, :1]),
        (CLASS_GRAPH, np.array([[0, value, 0]], np.float32)),
        (BOX_GRAPHS[0], np.full((1, 7, 4), value, np.float32)),
    ):
        assert not np.isfinite(run(np.ascontiguousarray(array))[HEALTH])
        assert not np.isfinite(health_of([array]))


def test_boxes_of_several_classes_on_one_thing_are_one() -> None:
    rows = np.array(
        [[50, 60, 20, 10, 0.7, 0.1], [51, 60, 20, 10, 0.2, 0.9]], np.float32
    )
    found = BOX_HEADS[0].find([rows.T[None]])
    assert found[BOX_CLASSES].tolist() == [1]
    assert found[BOX_SCORES].tolist() == [np.float32(0.9)]
    np.testing.assert_array_equal(found[BOXES], [[55, 41, 65, 61]])
