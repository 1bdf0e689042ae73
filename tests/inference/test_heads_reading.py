"""Which head and layout a model has, as far as its output tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from smartscope.errors import Refused
from smartscope.inference import DetectSettings, ModelPackage
from smartscope.inference.heads.boxes import BoxHead, guess_layout
from smartscope.inference.heads.reading import head_of, overlap_of, reader_of

MakeOnnx = Callable[..., Path]


@pytest.mark.parametrize(
    ("shape", "classes", "layout"),
    [
        ((1, 84, 8400), None, "yolo8"),
        ((1, 84, 8400), 80, "yolo8"),
        ((1, 84, None), None, "yolo8"),
        ((1, 84, 8400), 79, None),
        ((1, 25200, 85), 80, "yolo5"),
        ((1, 25200, 85), None, None),
        ((1, None, 85), 80, "yolo5"),
        ((1, 8400, 84), 80, "yolo8_rows"),
        ((1, None, 84), 80, "yolo8_rows"),
        ((1, 8400, 84), 79, "yolo5"),
        ((1, 8400, 84), 78, None),
        ((1, 8400, 84), None, None),
        ((1, 8400, 5), None, "yolo8_rows"),
        ((1, 300, 6), 80, "nms_inside"),
        ((1, 300, 6), 2, None),
        ((1, 300, 6), 1, None),
        ((1, 300, 6), None, None),
        ((1, None, None), 2, None),
        ((1, 300), 2, None),
        (None, 2, None),
    ],
)
def test_a_layout_is_guessed_only_where_it_is_clear(
    shape: tuple[int | None, ...] | None, classes: int | None, layout: str | None
) -> None:
    assert guess_layout(shape, classes) == layout


@pytest.mark.parametrize(
    ("shape", "classes", "layout"),
    [
        # 640 × 640: 6400 + 1600 + 400 cells
        ((1, 25200, 85), None, "yolo5"),
        ((1, 25200, 6), None, "yolo5"),
        ((1, 8400, 85), None, None),  # with objectness, or not
        ((1, 8400, 6), 2, "yolo8_rows"),
        ((1, 8400, 6), 1, "yolo5"),
        ((1, 300, 6), 2, "nms_inside"),
        ((1, 300, 6), None, "nms_inside"),
        ((1, 3000, 6), None, None),
    ],
)
def test_the_number_of_boxes_may_tell_the_layout(
    shape: tuple[int, ...], classes: int | None, layout: str | None
) -> None:
    assert guess_layout(shape, classes, (640, 640)) == layout
    if guess_layout(shape, classes) is not None:
        assert guess_layout(shape, classes) == layout


@pytest.mark.parametrize(
    ("out_shape", "ops", "card", "head"),
    [
        (("b", 5, 400), ["Identity"], {}, "boxes"),
        (("b", 3), ["Identity"], {}, "classes"),
        ((1, 1, "y", "x"), ["Sigmoid"], {}, "components"),
        ((1, 9, "y", "x"), ["Identity"], {"n_rays": 8}, "stardist"),
        ((1, 1, "y", "x"), ["Sigmoid"], {"head": "peaks"}, "peaks"),
        ((1, 1, "y", "x"), ["Identity"], {}, None),
    ],
)
def test_a_head_is_taken_from_the_card_or_the_output(
    make_onnx: MakeOnnx,
    out_shape: tuple[int | str, ...],
    ops: list[str],
    card: dict[str, object],
    head: str | None,
) -> None:
    path = make_onnx("m.onnx", out_shape=out_shape, ops=ops)
    path.with_suffix(".yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    package = ModelPackage.load(path)
    if head is None:
        with pytest.raises(Refused, match="Nothing says how the output"):
            head_of(package)
    else:
        assert head_of(package) == head


def test_settings_come_before_the_card_and_the_card_before_the_default(
    make_onnx: MakeOnnx,
) -> None:
    path = make_onnx("m.onnx", out_shape=("b", 6, 400))
    card = {"head": "boxes", "nms_overlap": 0.6, "classes": ["a", "b"]}
    path.with_suffix(".yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    package = ModelPackage.load(path)
    asked = DetectSettings(model=str(path))
    assert overlap_of(package, "boxes", asked) == 0.6
    reader, classes = reader_of(package, "boxes", asked, 0.5)
    assert reader == BoxHead("yolo8", overlap=0.6)
    assert classes == ("a", "b")
    own = DetectSettings(model=str(path), nms_overlap=0.3, classes=("c", "d"))
    reader, classes = reader_of(package, "boxes", own, 0.5)
    assert reader == BoxHead("yolo8", overlap=0.3)
    assert classes == ("c", "d")
    path.with_suffix(".yaml").unlink()
    bare = ModelPackage.load(path)
    reader, classes = reader_of(bare, "boxes", asked, 0.5)
    assert reader == BoxHead("yolo8", overlap=0.45)
    assert classes == ("class_0", "class_1")
