"""The journal: what was written is read back, whatever cut it off."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartscope.errors import BrokenOff
from smartscope.storage import Journal, read_journal

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(records=st.lists(st.dictionaries(st.text(), _VALUES, max_size=4), max_size=6))
def test_records_come_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, object]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    journal = Journal(path)
    for record in records:
        journal.write(record)
    journal.close()
    assert read_journal(path).records == records


@given(cut=st.integers(1, 60))
def test_a_journal_cut_anywhere_loses_at_most_its_last_line(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    journal = Journal(path)
    for i in range(5):
        journal.write({"kind": "note", "n": 10 + i})
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut])
    left = read_journal(path)
    lines = (len(whole) - cut) / (len(whole) / 5)
    assert [r["n"] for r in left.records] == [10 + i for i in range(int(lines))]
    assert left.torn == (() if lines == int(lines) else (int(lines) + 1,))


def test_a_line_is_in_the_file_when_write_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.write(b'{"ready":"made"}')
    assert read_journal(tmp_path / "j").records == [{"ready": "made"}]
    journal.close()
    journal.close()
    with pytest.raises(RuntimeError, match="closed"):
        journal.write({})


def test_numpy_is_plain_and_nan_is_null(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.write(
        {
            "a": np.float32(0.5),
            "b": np.arange(2),
            "c": {"d": [float("nan")]},
            "p": tmp_path,
        }
    )
    journal.close()
    (record,) = read_journal(tmp_path / "j").records
    assert record == {"a": 0.5, "b": [0, 1], "c": {"d": [None]}, "p": str(tmp_path)}


def test_what_cannot_be_said_in_json_is_refused_and_not_half_written(
    tmp_path: Path,
) -> None:
    journal = Journal(tmp_path / "j")
    with pytest.raises(TypeError, match="object"):
        journal.write({"a": object()})
    journal.close()
    assert not (tmp_path / "j").read_bytes()


def test_lines_of_many_threads_do_not_mix(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")

    def write(k: int) -> None:
        for i in range(200):
            journal.write({"k": k, "i": i, "long": "x" * 300})

    threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    content = read_journal(tmp_path / "j")
    assert not content.torn
    for k in range(4):
        assert [r["i"] for r in content.records if r["k"] == k] == list(range(200))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full disk")
def test_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "j").symlink_to("/dev/full")
    journal = Journal(tmp_path / "j")
    with pytest.raises(BrokenOff, match="No space left"):
        journal.write({"a": 1})
    journal.close()


def test_a_short_write_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "j")
    journal.write({"n": 1})
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:4]))
    with pytest.raises(BrokenOff, match="only 4 of 8 bytes"):
        journal.write({"n": 2})
    monkeypatch.undo()
    journal.write({"n": 3})
    journal.close()
    content = read_journal(tmp_path / "j")
    assert [r["n"] for r in content.records] == [1, 3]
    assert content.torn == (2,)
