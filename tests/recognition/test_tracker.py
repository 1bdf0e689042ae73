"""Detections become tracks: identity, gaps, fields that move, light, restarts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState
from smartscope.recognition import Detections, Track, Tracker, TrackSettings

PIXEL_UM = 0.5
PIXELS = np.zeros((200, 200), np.uint16)  # a field of 100 × 100 µm


def frame(
    i: int,
    *,
    at: tuple[float, float] = (0.0, 0.0),
    place: str = "p0",
    exposure_ms: float = 10.0,
    account: float | None = None,
) -> Frame:
    state = FrameState(*at, 0.0, exposure_ms, "FITC", PIXEL_UM)
    account = (i + 1) * exposure_ms * 100 if account is None else account
    return Frame(
        PIXELS, MDAEvent(), i, 60.0 * i, 0.0, place, state, light_ms_percent=account
    )


def things(f: Frame, *xyi: tuple[float, ...]) -> Detections:
    """Detections at stage x, y with an intensity (counts; default 100)."""
    xy = np.array([p[:2] for p in xyi], float).reshape(-1, 2)
    intensity = np.array([p[2] if len(p) > 2 else 100.0 for p in xyi], np.float32)
    n, state = len(xy), f.state
    pixels = state.stage_map.to_pixels(xy, (200, 200), (state.x_um, state.y_um))
    return Detections(
        centers_px=pixels.astype(np.float32),
        centers_um=xy,
        score=np.ones(n, np.float32),
        class_id=np.zeros(n, np.int32),
        boxes_px=np.zeros((n, 4), np.float32),
        area_px=np.full(n, 50, np.float32),
        intensity=intensity,
    )


def follow(
    tracker: Tracker, *steps: list[tuple[float, ...]], place: str = "p0"
) -> list[list[int]]:
    """Feed frames 0, 1, … and return the track of each detection."""
    ids = []
    for i, step in enumerate(steps):
        f = frame(i, place=place)
        ids.append(tracker.update(f, things(f, *step)).track_ids.tolist())
    return ids


def test_things_keep_their_track_whatever_their_order() -> None:
    assert follow(Tracker(), [(0, 0), (30, 0)], [(31, 1), (1, 0)]) == [[0, 1], [1, 0]]


def test_a_step_beyond_the_gate_is_another_thing() -> None:
    tracker = Tracker(TrackSettings(max_distance_um=5))
    assert follow(tracker, [(0, 0)], [(5.1, 0)]) == [[0], [1]]
    assert follow(Tracker(TrackSettings(max_distance_um=5)), [(0, 0)], [(4.9, 0)]) == [
        [0],
        [0],
    ]


@pytest.mark.parametrize(("missed", "last"), [(2, 0), (3, 1)])
def test_a_track_survives_max_missed_frames_and_not_one_more(
    missed: int, last: int
) -> None:
    steps: list[list[tuple[float, ...]]] = [[(0, 0)], *[[] for _ in range(missed)]]
    ids = follow(Tracker(TrackSettings(max_missed=2)), *steps, [(0, 0)])
    assert ids[-1] == [last]


def test_crossing_neighbours_in_file_keep_their_order() -> None:
    steps = [[(2.0 * i, 0), (2.0 * i + 3, 0)] for i in range(10)]
    assert follow(Tracker(), *steps) == [[0, 1]] * 10


def test_a_vanished_thing_is_not_explained_by_moving_up_its_row() -> None:
    row = [(10.0 * k, 0.0) for k in range(-2, 3)]
    ids = follow(Tracker(), row, row[1:])
    assert ids[1] == [1, 2, 3, 4]


def test_places_do_not_mix() -> None:
    tracker = Tracker()
    first = tracker.update(frame(0), things(frame(0), (0, 0)))
    other = frame(1, place="p1")
    second = tracker.update(other, things(other, (0, 0)))
    assert first.track_ids.tolist() == [0]
    assert second.track_ids.tolist() == [1]
    assert set(tracker.tracks("p0")) == {0}
    assert set(tracker.tracks("p1")) == {1}


def test_a_field_that_moves_changes_no_track_and_misses_none_outside() -> None:
    tracker = Tracker(TrackSettings(max_missed=0))
    f = frame(0)
    tracker.update(f, things(f, (40, 0), (-40, 0)))
    for i in range(1, 6):
        f = frame(i, at=(30.0, 0.0))  # the second one is out of view now
        assert tracker.update(f, things(f, (40, 0))).track_ids.tolist() == [0]
    unseen = tracker.tracks("p0")[1]
    assert (unseen.missed, unseen.detection) == (0, -1)
    f = frame(6)
    assert tracker.update(f, things(f, (40, 0), (-40, 0))).track_ids.tolist() == [0, 1]


def test_what_is_out_of_view_for_a_hundred_frames_is_forgotten() -> None:
    tracker = Tracker()
    f = frame(0)
    tracker.update(f, things(f, (-40, 0)))
    tracking = None
    for i in range(1, 102):
        f = frame(i, at=(500.0, 0.0))
        assert set(tracker.tracks("p0")) == {0}
        tracking = tracker.update(f, things(f))
    assert tracking is not None
    assert tracking.forgotten == (0,)
    assert tracker.tracks("p0") == {}


def test_intensity_is_per_light_and_the_baseline_a_median_of_earlier_ones() -> None:
    tracker = Tracker()
    baselines = []
    for i, exposure_ms in enumerate((10.0, 20.0, 5.0, 10.0, 40.0)):
        f = frame(i, exposure_ms=exposure_ms)
        # the last one is five times as bright as its light explains
        counts = 7.0 * exposure_ms * (5 if i == 4 else 1)
        tracker.update(f, things(f, (0, 0, counts)))
        baselines.append(tracker.tracks("p0")[0].baseline)
    track = tracker.tracks("p0")[0]
    assert track.intensity == pytest.approx(35.0)
    assert [math.isnan(b) for b in baselines] == [True, True, False, False, False]
    assert track.baseline == pytest.approx(7.0)


def test_a_dark_frame_leaves_intensity_open_and_the_baseline_alone() -> None:
    tracker = Tracker()
    for i in range(4):
        f = frame(i, exposure_ms=0.0 if i == 2 else 10.0)
        tracker.update(f, things(f, (0, 0, 70)))
        if i == 2:
            assert math.isnan(tracker.tracks("p0")[0].intensity)
    assert tracker.tracks("p0")[0].baseline == pytest.approx(7.0)


def test_tracks_are_charged_by_the_account_of_their_place() -> None:
    tracker = Tracker()
    f = frame(0, account=5000.0)  # lit four times before anybody looked
    tracker.update(f, things(f, (0, 0)))
    assert tracker.tracks("p0")[0].light_ms_percent == 1000.0
    f = frame(1, account=26000.0)  # a burst of 20 frames between
    tracker.update(f, things(f, (0, 0), (20, 0)))
    tracks = tracker.tracks("p0")
    assert tracks[0].light_ms_percent == 22000.0
    assert tracks[1].light_ms_percent == 1000.0
    f = frame(2, at=(500.0, 0.0), account=27000.0)  # lit elsewhere
    tracker.update(f, things(f))
    assert tracker.tracks("p0")[0].light_ms_percent == 22000.0
    f = frame(3, account=28000.0)  # missed, and lit all the same
    tracker.update(f, things(f))
    assert tracker.tracks("p0")[0].light_ms_percent == 23000.0


@pytest.mark.parametrize("analysed", ["left right", "left", "right"])
def test_the_light_of_an_exposure_is_charged_once_for_all_cameras(
    analysed: str,
) -> None:
    tracker = Tracker()
    for i in range(4):
        for camera in analysed.split():
            f = replace(frame(i), camera=camera, shares_light=camera == "right")
            tracker.update(f, things(f, (0, 0)))
    assert tracker.tracks("p0")[0].light_ms_percent == 4000.0


def test_daughters_get_tracks_of_their_own_and_their_mothers_light() -> None:
    tracker = Tracker()
    f = frame(0)
    tracker.update(f, things(f, (0, 0)))
    f = frame(1)
    tracking = tracker.update(f, things(f, (-4, 0), (4, 0)))
    mother, newborn = tracking.lives[0], tracking.lives[1]
    one, other = tracker.divide(tracking, mother, mother, newborn)
    tracks = tracker.tracks("p0")
    assert set(tracks) == {1, 2}
    assert {tracks[i].parent_id for i in tracks} == {0}
    assert {tracks[i].light_ms_percent for i in tracks} == {2000.0}
    assert sorted(tracking.track_ids.tolist()) == [1, 2]
    assert tracking.track_ids[one.row] == one.track_id
    assert tracking.track_ids[other.row] == other.track_id


def test_it_goes_on_from_a_seed() -> None:
    tracker = Tracker()
    for i in range(5):
        f = frame(i)
        tracker.update(f, things(f, (i, 0), (30, 0)))
    fresh = Tracker()
    fresh.seed(tracker.tracks("p0").values(), tracker.next_id, {"p0": 5000.0})
    assert fresh.tracks("p0").keys() == tracker.tracks("p0").keys()
    f = frame(5)
    step = things(f, (30, 0), (5, 0), (-30, 0))
    assert fresh.update(f, step).track_ids.tolist() == [1, 0, 2]
    assert tracker.update(f, step).track_ids.tolist() == [1, 0, 2]
    for i, track in tracker.tracks("p0").items():
        again = fresh.tracks("p0")[i]
        assert again.light_ms_percent == track.light_ms_percent
        assert again.baseline == pytest.approx(track.baseline, nan_ok=True)


spot = st.tuples(
    st.floats(-45, 45, allow_nan=False).map(lambda v: round(v, 2)),
    st.floats(-45, 45, allow_nan=False).map(lambda v: round(v, 2)),
)


@given(st.lists(st.lists(spot, max_size=8), min_size=1, max_size=12))
def test_every_detection_has_one_track_and_ids_are_never_given_twice(
    steps: list[list[tuple[float, float]]],
) -> None:
    tracker = Tracker()
    known: dict[int, Track] = {}
    for i, step in enumerate(steps):
        f = frame(i)
        tracking = tracker.update(f, things(f, *step))
        ids = tracking.track_ids.tolist()
        assert len(set(ids)) == len(ids) == len(step)
        tracks = tracker.tracks("p0")
        assert set(ids) <= set(tracks)
        assert not set(tracking.born) & set(known)
        for track_id, track in tracks.items():
            assert track.missed <= tracker.settings.max_missed
            if track.detection >= 0:
                assert ids[track.detection] == track_id
                assert (track.x_um, track.y_um) == step[track.detection]
                before = known.get(track_id)
                if before is not None:
                    moved = math.hypot(
                        track.x_um - before.x_um, track.y_um - before.y_um
                    )
                    assert moved <= tracker.settings.max_distance_um + 1e-9
        # who ended never comes back
        assert not {life.track_id for life in tracking.ended} & set(tracks)
        known.update(tracks)


@given(st.integers(0, 2**32 - 1))
def test_well_separated_cells_are_tracked_without_error(seed: int) -> None:
    """Random walks on a grid 20 µm apart, one in seven detections missed."""
    rng = np.random.default_rng(seed)
    home = np.array([(x, y) for x in (-30, -10, 10, 30) for y in (-30, -10, 10, 30)])
    tracker, truth = Tracker(), {}
    for i in range(20):
        where = home + rng.normal(0, 0.8, home.shape)
        found = [k for k in range(16) if i == 0 or rng.random() > 1 / 7]
        rng.shuffle(found)
        f = frame(i)
        ids = tracker.update(f, things(f, *where[found])).track_ids
        for k, track_id in zip(found, ids.tolist(), strict=True):
            # a cell missed three times in a row is a new one
            if track_id in truth:
                assert truth[track_id] == k
            truth[track_id] = k
