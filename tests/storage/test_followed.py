"""The figure of how well a followed cell was kept in the middle."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from smartscope.storage.followed import followed


def header(frame_id: int, x_um: float) -> dict[str, Any]:
    return {
        "frame_id": frame_id,
        "origin": "survey",
        "place": "p0",
        "shape": [100, 100],
        "state": {
            "x_um": x_um,
            "y_um": 0.0,
            "pixel_size_um": 1.0,
            "orientation": [[1, 0], [0, 1]],
        },
    }


def seen(frame_id: int, *tracks: tuple[int, float, int], **more: Any) -> dict[str, Any]:
    return {
        "frame_id": frame_id,
        "place": "p0",
        "tracks": [
            {
                "track_id": track_id,
                "x_um": x_um,
                "y_um": 0.0,
                "missed": 0,
                "parent_id": parent,
                "intensity": 10.0 - track_id,
            }
            for track_id, x_um, parent in tracks
        ],
        **more,
    }


def a_run(**more: Any) -> Any:
    move = {
        "decision_id": "0/0",
        "frame_id": 0,
        "granted": {
            "kind": "move_stage",
            "track_id": 1,
            "x_um": 30.0,
            "y_um": 0.0,
        },
    }
    frames = [header(0, 0.0), header(1, 0.0), *(header(i, 30.0) for i in range(2, 6))]
    content = {
        "taken": frames,
        "analysed": [
            seen(0, (1, 30, -1)),
            seen(1, (1, 30, -1)),  # taken before the stage had moved
            seen(2, (1, 32, -1)),
            seen(3, (1, 45, -1)),  # beyond the middle fifth, ± 10 µm
            seen(4, (2, 33, 1), (3, 27, 1)),  # it has divided
            seen(5),  # lost
        ],
        "decisions": [move],
        "outcomes": [{"decision_id": "0/0", "status": "done"}],
    }
    return SimpleNamespace(**{**content, **more})


def test_frames_after_capture_count_and_a_lost_cell_is_not_in_the_middle() -> None:
    said = followed(a_run())
    assert said == {"frames": 4, "in_middle": 2, "share": 0.5, "cells": 1}


def test_a_move_that_was_not_done_captures_nothing() -> None:
    said = followed(a_run(outcomes=[{"decision_id": "0/0", "status": "stale"}]))
    assert said == {"frames": 0, "in_middle": 0, "share": None, "cells": 0}
