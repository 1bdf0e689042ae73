"""What of the survey becomes data: what was asked for, and the rest is counted."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from useq import MDAEvent

from smartscope.acquisition import EventTag, Frame, FrameState
from smartscope.errors import BrokenOff, Refused
from smartscope.response import KeepFrames
from smartscope.storage import (
    ImageSpec,
    Journal,
    Movie,
    Recorder,
    Run,
    RunFolder,
    StorageSettings,
    SurveyStore,
    summarise,
)
from smartscope.telemetry import Telemetry


class Stand:
    """A survey of some places, and the store behind it."""

    def __init__(
        self, folder: RunFolder, channels: int = 1, slow_disk_ms: float = 0, **how: Any
    ) -> None:
        self.folder = folder
        self.telemetry = Telemetry()
        self.journal = Journal(folder.journal)
        settings_ = StorageSettings(
            **{"survey": "on_hit", **how}, slow_disk_ms=slow_disk_ms, reserve_mb=0
        )
        self.recorder = Recorder(folder, self.journal, settings_, self.telemetry)
        self.store = SurveyStore(self.recorder, settings_, self.telemetry, self.journal)
        self.channels = channels
        self.frame_id = -1
        self.account = 0.0

    def take(self, event: MDAEvent, time_s: float, origin: Any = "survey") -> int:
        tag = EventTag.of(event)
        self.frame_id += 1
        self.account += 500.0
        pixels = np.full((8, 10), 1 + self.frame_id, np.uint16)
        frame = Frame(
            pixels,
            event,
            self.frame_id,
            time_s,
            time.monotonic(),
            tag.place,
            FrameState(0.0, 0.0, 0.0, 5.0, "green", 0.65),
            self.account,
            origin=origin,
        )
        self.store.append(frame, image=tag.image, index=tag.index)
        return self.frame_id

    def survey(self, rounds: range, places: int = 1) -> list[int]:
        for t in rounds:
            for p in range(places):
                for c in range(self.channels):
                    if t == 0 and c == 0 and self.channels > 1:
                        names = tuple(str(k) for k in range(self.channels))
                        self.recorder.declare(ImageSpec(f"survey_p{p}", names))
                    self.take(MDAEvent(index={"t": t, "p": p, "c": c}), 10.0 * t + p)
        return list(range(self.frame_id + 1))

    def burst(self, frames: int, name: str = "burst_0001") -> None:
        for i in range(frames):
            tag = EventTag("p0", "burst", "0/0", name, (i, 0, 0))
            self.take(tag.on(MDAEvent()), 1000.0 + i, "burst")

    def hit(
        self, frame_id: int, before: int, after: int, place: str = "p0", **how: Any
    ) -> tuple[str, str]:
        wish = KeepFrames(place=place, before=before, after=after, **how)
        return self.store.keep(frame_id, wish)

    def close(self) -> Run:
        self.store.close()
        self.recorder.close()
        self.journal.close()
        return Run.open(self.folder.path)


def stored(run: Run) -> list[int]:
    for header in run.frames:
        assert (run.read(header["frame_id"]) == 1 + header["frame_id"]).all()
    return [f["frame_id"] for f in run.frames]


def test_a_hit_turns_the_visits_about_it_into_data(folder: RunFolder) -> None:
    stand = Stand(folder)
    stand.survey(range(20))
    assert stand.hit(15, before=4, after=3) == (
        "done",
        "8 frames that waited are stored, and the next 3 visits",
    )
    stand.survey(range(20, 30))
    run = stand.close()
    assert stored(run) == list(range(11, 19))
    assert [f["frame_id"] for f in run.unstored] == [*range(11), *range(19, 30)]
    assert [f["frame_id"] for f in run.taken] == list(range(30))
    assert run.frames_known == 30
    assert not any("not stored" in said for said in run.missing)
    counts = stand.telemetry.counts()
    assert (counts["frames_kept"], counts["frames_unstored"]) == (8, 22)


def test_what_is_still_to_come_is_stored_too(folder: RunFolder) -> None:
    stand = Stand(folder, channels=2)
    stand.survey(range(10))
    # the hit is in the first channel of the last visit
    assert stand.hit(18, before=1, after=2)[0] == "done"
    stand.survey(range(10, 15))
    run = stand.close()
    assert stored(run) == list(range(16, 24))
    assert stand.telemetry.counts()["frames_kept"] == 8


def test_the_baseline_ends_with_the_onset(folder: RunFolder) -> None:
    stand = Stand(folder)
    stand.survey(range(20))
    # seen in frame 15 at 150 s, and it had begun between the frames 11 and 12
    stand.hit(15, before=3, after=0, onset_s=115.0)
    assert stored(stand.close()) == list(range(8, 16))


def test_each_place_has_its_own_history(folder: RunFolder) -> None:
    stand = Stand(folder)
    stand.survey(range(6), places=3)
    stand.hit(13, before=2, after=1, place="p1")
    run = stand.close()
    assert stored(run) == [7, 10, 13, 16]
    assert {f["place"] for f in run.frames} == {"p1"}


def test_hits_share_what_they_both_ask_for(folder: RunFolder) -> None:
    stand = Stand(folder)
    stand.survey(range(10))
    stand.hit(5, before=3, after=1)
    stand.hit(7, before=3, after=4)
    stand.survey(range(10, 20))
    stand.hit(9, before=0, after=1)
    assert stored(stand.close()) == list(range(2, 12))


def test_every_nth_visit_is_stored_and_what_a_hit_asks_for(folder: RunFolder) -> None:
    stand = Stand(folder, channels=2, survey={"every_nth": 4})
    stand.survey(range(10))
    assert "3 visits before" not in stand.hit(13, before=1, after=0)[1]
    run = stand.close()
    # visits 0, 4, 8 by plan; 5 and 6 for the hit
    assert stored(run) == [0, 1, 8, 9, 10, 11, 12, 13, 16, 17]
    assert stand.telemetry.counts()["frames_kept"] == 4
    # a viewer finds each in its place
    assert [f["index"] for f in run.frames if f["frame_id"] in (8, 13)] == [
        [4, 0, 0],
        [6, 1, 0],
    ]


def test_bursts_are_always_stored(folder: RunFolder) -> None:
    stand = Stand(folder)
    stand.survey(range(3))
    stand.burst(4)
    run = stand.close()
    assert stored(run) == [3, 4, 5, 6]
    assert "frames_kept" not in stand.telemetry.counts()
    assert stand.telemetry.counts()["frames_unstored"] == 3


def test_what_has_gone_from_memory_is_told_and_counted(folder: RunFolder) -> None:
    stand = Stand(folder, history_frames=5)
    stand.survey(range(20))
    status, told = stand.hit(19, before=9, after=0)
    assert status == "done"
    assert "5 frames that waited" in told
    assert "of 5 visits before, frames had gone" in told
    assert stored(stand.close()) == list(range(15, 20))
    counts = stand.telemetry.counts()
    assert counts["baseline_visits_missing"] == 5
    assert counts["frames_unstored"] == 15
    assert "history_full" not in counts


def test_a_full_memory_is_counted(folder: RunFolder) -> None:
    stand = Stand(folder, history_mb=1)
    # frames of 1 MB would make it slow
    stand.store._history._limit = 3 * 160
    stand.survey(range(10))
    stand.hit(9, before=9, after=0)
    assert stored(stand.close()) == [7, 8, 9]
    assert stand.telemetry.counts()["history_full"] == 7


def test_light_and_time_of_frames_that_are_not_stored_are_told(
    folder: RunFolder,
) -> None:
    stand = Stand(folder)
    stand.survey(range(10))
    stand.hit(2, before=0, after=0)
    summary = summarise(stand.close())
    assert summary["light_ms_percent"] == {"p0": 5000.0}
    assert summary["light_by_origin"] == {"p0": {"survey": 5000.0, "burst": 0.0}}
    assert summary["duration_s"] == 90.0
    frames = summary["frames"]
    assert (frames["stored"], frames["unstored"], frames["survey"]) == (1, 9, 10)
    assert summary["images"] == {"survey_p0": 1}


def test_the_pixels_of_a_frame_that_is_not_stored_are_refused(
    folder: RunFolder,
) -> None:
    stand = Stand(folder)
    stand.survey(range(3))
    run = stand.close()
    with pytest.raises(Refused, match=r"Frame 1 is not stored .* by policy"):
        run.read(1)
    with pytest.raises(Refused, match=r"Frame 7 is not stored in .*run\."):
        run.read(7)


def test_where_nothing_waits_a_hit_is_refused(folder: RunFolder) -> None:
    stand = Stand(folder)
    assert stand.hit(0, 1, 1)[0] == "refused"
    stand.survey(range(3))
    assert stand.hit(0, 1, 1, place="p9") == (
        "refused",
        "no frames of p9 wait for a hit",
    )
    stand.close()
    assert stand.hit(0, 1, 1)[0] == "refused"


def test_where_all_is_stored_a_hit_changes_nothing(folder: RunFolder) -> None:
    stand = Stand(folder, survey="all")
    stand.survey(range(5))
    assert stand.hit(2, 1, 1) == ("done", "every frame is stored")
    run = stand.close()
    assert stored(run) == [0, 1, 2, 3, 4]
    assert (run.unstored, run.kept) == ([], [])


def test_without_anybody_who_looks_everything_is_stored(folder: RunFolder) -> None:
    stand = Stand(folder, history_frames=4)
    stand.survey(range(10))
    told = stand.store.keep_all("the analysis has ended")
    assert "4 that waited" in told
    assert stand.store.keep_all("again") == ""
    stand.survey(range(10, 15))
    run = stand.close()
    assert stored(run) == list(range(6, 15))
    assert run.kept[0]["why"] == "the analysis has ended"


def test_late_frames_do_not_count_as_a_slow_disk(folder: RunFolder) -> None:
    stand = Stand(folder)
    stand.survey(range(5))
    stand.hit(4, before=4, after=0)
    stand.burst(3)
    stand.close()
    assert stand.telemetry.latencies()["store"]["n"] == 3
    assert stand.telemetry.counts()["frames_stored"] == 8


def test_what_a_kill_takes_of_a_hit_is_lost_and_not_by_policy(
    folder: RunFolder,
) -> None:
    stand = Stand(folder)
    stand.survey(range(10))
    stand.hit(6, before=2, after=0)
    stand.close()
    lines = folder.journal.read_bytes().splitlines(keepends=True)
    # as if the last of the three had been on its way
    kept = [line for line in lines if json.loads(line).get("kind") == "frame"]
    folder.journal.write_bytes(b"".join(line for line in lines if line != kept[-1]))
    run = Run.open(folder.path)
    assert [f["frame_id"] for f in run.frames] == [4, 5]
    assert 6 not in {f["frame_id"] for f in run.unstored}
    assert "1 frames were taken and not stored (frame 6)" in run.missing


def test_a_disk_that_fails_ends_the_run_and_counts_what_was_wanted(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand = Stand(folder)
    stand.survey(range(6))

    def full(*_: Any) -> Any:
        raise OSError("no space left")

    monkeypatch.setattr("smartscope.storage.image.Image.write", full)
    stand.recorder._writer.limit = 1  # wait for all of it
    assert stand.hit(5, before=2, after=5)[0] == "done"
    assert not stand.recorder.wait_caught_up(60)
    with pytest.raises(BrokenOff, match="no space left"):
        stand.survey(range(6, 7))
    assert stand.hit(5, before=5, after=0)[0] == "failed"
    # those of the hit; what only passes is not lost
    assert stand.telemetry.counts()["frames_lost"] == 3
    stand.store.close()
    stand.recorder.close()
    stand.journal.close()


def test_a_slow_disk_holds_frames_that_pass_too(folder: RunFolder) -> None:
    """A line that waits holds its frame: memory stays bounded."""
    stand = Stand(folder, slow_disk_ms=1, queue_mb=1)
    stand.recorder._writer.limit = 10 * 160
    stand.burst(8)
    stand.survey(range(30))
    assert stand.recorder.waiting_mb <= 10 * 160 / 1e6
    run = stand.close()
    assert len(run.unstored) == 30
    assert stand.telemetry.counts()["disk_waits"] > 0


@settings(max_examples=60, deadline=None)
@given(
    channels=st.integers(1, 3),
    most=st.integers(1, 12),
    nth=st.integers(1, 5),
    steps=st.lists(
        st.one_of(
            st.integers(1, 4),
            st.tuples(st.integers(0, 400), st.integers(0, 6), st.integers(0, 6)),
        ),
        max_size=14,
    ),
)
def test_every_frame_is_stored_or_told_and_what_is_asked_for_is_there(
    tmp_path_factory: pytest.TempPathFactory,
    channels: int,
    most: int,
    nth: int,
    steps: list[Any],
) -> None:
    """Against a model that keeps every frame and knows every hit."""
    folder = RunFolder.create(tmp_path_factory.mktemp("p") / "run", "t", need_mb=1)
    how: Any = "on_hit" if nth == 1 else {"every_nth": nth}
    stand = Stand(folder, channels, survey=how, history_frames=most)
    rounds, gone = 0, -1
    wanted: set[int] = set()  # visits
    waiting: list[int] = []  # frames
    expected: set[int] = set()
    by_plan: set[int] = set()
    for step in steps:
        if isinstance(step, int):
            for frame_id in range(rounds * channels, (rounds + step) * channels):
                visit = frame_id // channels
                if nth > 1 and visit % nth == 0:
                    by_plan.add(frame_id)
                elif visit in wanted:
                    expected.add(frame_id)
                else:
                    waiting.append(frame_id)
                    if len(waiting) > most:
                        gone = waiting.pop(0) // channels
            stand.survey(range(rounds, rounds + step))
            rounds += step
        elif rounds:
            frame_id = min(step[0], stand.frame_id)
            seen = frame_id // channels
            first, last = max(0, seen - step[1]), seen + step[2]
            assert stand.hit(frame_id, step[1], step[2])[0] == "done"
            found = {f for f in waiting if first <= f // channels <= last}
            expected |= found
            waiting = [f for f in waiting if f not in found]
            wanted |= set(range(max(first, gone + 1), last + 1))
    run = stand.close()
    got = set(stored(run))
    everything = set(range(stand.frame_id + 1))
    told = {f["frame_id"] for f in run.unstored}
    assert got == expected | by_plan
    assert told == everything - got
    assert run.frames_known == len(everything)
    assert not any("taken and not stored" in said for said in run.missing)
    counts = stand.telemetry.counts()
    assert counts.get("frames_unstored", 0) == len(told)
    assert counts.get("frames_kept", 0) == len(expected)


def test_the_collection_is_valid_where_much_of_it_is_not_there(
    folder: RunFolder,
) -> None:
    import yaozarrs

    stand = Stand(folder)
    stand.survey(range(40), places=2)
    stand.hit(60, before=2, after=2)
    stand.close()
    yaozarrs.validate_zarr_store(str(folder.raw))
    # played as a movie, its gaps would be black frames
    with pytest.raises(Refused, match="35 frames of survey_p0 were not stored, by pol"):
        Movie.open(folder.raw / "survey_p0")
