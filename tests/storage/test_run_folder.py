"""The folder of a run: refused before anything is written, or there."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from smartscope.errors import Refused
from smartscope.storage import RunFolder


def test_the_default_is_named_by_time_and_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = RunFolder.create(None, "my run", need_mb=0)
    second = RunFolder.create(None, "my run", need_mb=0)
    assert first.path.parent == tmp_path / "runs"
    time, _, name = first.path.name.partition("_")
    assert datetime.strptime(time, "%Y-%m-%dT%H-%M-%S")
    assert name == "my_run"
    assert second.path != first.path


def test_a_folder_that_exists_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(Refused, match="exists"):
        RunFolder.create(tmp_path / "there", "x", need_mb=0)
    assert not list((tmp_path / "there").iterdir())


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="cannot be"):
        RunFolder.create(tmp_path / "file" / "run", "x", need_mb=0)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(Refused, match="cannot be written"):
        RunFolder.create(tmp_path / "locked" / "run", "x", need_mb=0)


def test_a_disk_with_too_little_free_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="MB free; the run needs 1000000000000 MB"):
        RunFolder.create(tmp_path / "a" / "b", "x", need_mb=1e12)
    assert not (tmp_path / "a").exists()


def test_a_name_too_long_leaves_nothing_behind(tmp_path: Path) -> None:
    for path in (tmp_path / "a" / ("b" * 300), tmp_path / ("c" * 300) / "a"):
        with pytest.raises(Refused, match="cannot be made"):
            RunFolder.create(path, "x", need_mb=0)
    assert not list(tmp_path.iterdir())


def test_run_json_is_replaced_at_once(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", "x", need_mb=0)
    assert folder.read_run_json() == {}
    folder.write_run_json({"a": 1})
    with pytest.raises(TypeError):
        folder.write_run_json({"a": object()})
    assert folder.read_run_json() == {"a": 1}
    folder.write_run_json({"a": 2, "µ": float("nan")})
    assert folder.read_run_json() == {"a": 2, "µ": None}
    assert [p.name for p in folder.path.iterdir()] == ["run.json"]
