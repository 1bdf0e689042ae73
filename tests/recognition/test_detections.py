"""Detections: arrays of one length, outlines and labels where a head gives them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from smartscope.recognition import Detections

SQUARE = np.array([[1, 1], [1, 3], [3, 3], [3, 1]], np.float32)


def two() -> Detections:
    return Detections(
        centers_px=np.zeros((2, 2), np.float32),
        centers_um=np.zeros((2, 2)),
        score=np.array([0.9, 0.8], np.float32),
        class_id=np.zeros(2, np.int32),
        boxes_px=np.zeros((2, 4), np.float32),
        area_px=np.ones(2, np.float32),
        intensity=np.ones(2, np.float32),
    )


def test_what_no_head_gave_is_not_in_the_record() -> None:
    assert set(two().to_record()) == set(Detections.empty().to_record())
    assert "polygons" not in two().to_record()
    labels = np.array([[0, 1], [2, 2]], np.int32)
    with_both = replace(two(), polygons=(SQUARE, SQUARE + 0.123), labels=labels)
    record = with_both.to_record()
    assert set(record) - set(two().to_record()) == {"polygons"}
    assert record["polygons"][1][0] == [1.1, 1.1]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"polygons": (SQUARE,)}, "one outline per score, got 1 for 2"),
        ({"polygons": (SQUARE, SQUARE[:2])}, "at least 3 corners"),
        ({"polygons": (SQUARE, SQUARE.ravel())}, r"shape \(k, 2\)"),
        ({"labels": np.zeros(4, np.int32)}, "int32 image"),
        ({"labels": np.zeros((4, 4), np.int64)}, "int32 image"),
        ({"labels": np.full((4, 4), 3, np.int32)}, "0 to 2"),
        ({"labels": np.full((4, 4), -1, np.int32)}, "0 to 2"),
    ],
)
def test_outlines_and_labels_of_another_shape_are_refused(
    wrong: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        replace(two(), **wrong)
