"""What is counted over whole runs is what the runs hold; the bars are for a bench."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from smartscope.bench import catches, quiet_nights
from smartscope.bench.catches import baselines, bench_catches
from smartscope.bench.equal_light import bench_equal_light
from smartscope.bench.quiet_nights import bench_quiet_nights
from smartscope.bench.ugly_wells import out_of_focus, pixel_noise
from smartscope.settings import Experiment
from smartscope.storage import Run

Held = list[dict[str, Any]]


def holding(held: Held, module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a bench's runs be counted by somebody else before their folders go."""
    own = module.run_once

    @contextmanager
    def run_once(experiment: Experiment) -> Iterator[Run]:
        with own(experiment) as run:
            held.append(
                {
                    "by_name": run.record["scores"].get("by_name"),
                    "bursts": len(
                        {f["image"] for f in run.frames if f["origin"] == "burst"}
                    ),
                    "mothers": _looks_before(run),
                    "baselines": list(baselines(run)),
                    "kinds": {e["kind"] for e in run.truth["events"]},
                }
            )
            yield run

    monkeypatch.setattr(module, "run_once", run_once)


def _looks_before(run: Run) -> list[int]:
    """Return how often each dividing cell was seen, as its own track counts it."""
    times = {
        e["occurrence_id"]: e["t_s"]
        for e in run.record["scores"].get("per_event", ())
        if e["name"] == "division" and e["caught"]
    }
    looks = []
    for o in run.occurrences:
        if o["occurrence_id"] in times:
            seen = [
                track["frames"]
                for line in run.analysed
                if line["time_s"] < times[o["occurrence_id"]]
                for track in line["tracks"]
                if track["track_id"] == o["track_ids"][0]
            ]
            looks.append(max(seen, default=0))
    return looks


def test_catches_are_those_of_the_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    held: Held = []
    holding(held, catches, monkeypatch)
    monkeypatch.setitem(catches._SPECIMEN, "divisions_per_hour", 1.5)
    lines: list[str] = []
    told = bench_catches(seeds=2, rounds=9, exposure_ms=4, tell=lines.append)
    assert len(lines) == len(held) == told["seeds"] == 2
    for name in ("division", "arrival"):
        for key in ("events", "caught", "false"):
            assert told[name][key] == sum(run["by_name"][name][key] for run in held)
            parts = told[name]["in_focus"][key] + told[name]["out_of_focus"][key]
            assert parts == told[name][key]
        lost = told[name]["events"] - told[name]["caught"]
        assert sum(told["missed"][name].values()) == lost
    division = told["division"]
    assert division["caught"] >= 3
    low, high = division["recall_exact"]
    share = division["caught"] / division["events"]
    assert division["recall"] == pytest.approx(share, abs=1e-4)
    assert low < share <= high
    low, high = division["recall_over_seeds"]
    assert low <= division["recall"] <= high
    # a track counts its own detections; who divides stays where it is
    counted = sorted(n for run in held for n in run["mothers"])
    assert sorted(n for run in held for n in run["baselines"]) == counted
    enough = sum(n >= 3 for n in counted)
    assert told["baseline"]["with_baseline"] == enough
    assert told["baseline"]["caught_divisions"] == division["caught"]
    assert 12 < told["snr"] < 40


def test_a_night_counts_its_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    held: Held = []
    holding(held, quiet_nights, monkeypatch)
    # something must be there to be counted: in this night cells do divide
    monkeypatch.setitem(quiet_nights._SPECIMEN, "divisions_per_hour", 1.5)
    told = bench_quiet_nights(seeds=1, rounds=10)
    assert told["false_bursts"] == held[0]["bursts"] > 0
    assert told["hours"] == pytest.approx(1 / 6, abs=0.005)
    assert told["false_bursts_per_24_h"] == pytest.approx(144 * told["false_bursts"])


def test_in_a_quiet_night_nothing_divides() -> None:
    told = bench_quiet_nights(seeds=1, rounds=3)
    assert "division" not in told["happened"]
    assert "mitosis" not in told["happened"]
    assert told["false_bursts"] == 0


def test_equal_light_adds_up() -> None:
    lines: list[str] = []
    told = bench_equal_light(seeds=1, rounds=8, tell=lines.append)
    smart, fixed = told["smart"], told["fixed"]
    assert fixed["light_ms_percent"] <= smart["light_ms_percent"] * 1.0001
    assert smart["light_ms_percent"] == smart["frames"] * told["exposure_ms"] * 100
    assert max(smart["caught"], fixed["caught"]) <= told["events"]
    assert lines == [f"seed 0: {told['per_seed']['0']}"]


def test_the_noise_of_a_pixel_is_that_of_the_background() -> None:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:256, :256]
    image = 100 + 0.05 * rows + rng.normal(0, 4, (256, 256))
    for row, column in rng.integers(20, 236, (20, 2)):
        image += 300.0 * ((rows - row) ** 2 + (columns - column) ** 2 < 64)
    assert pixel_noise(image.round()) == pytest.approx(4, rel=0.05)


def test_the_well_that_dries_out_is_told_from_the_others() -> None:
    assert out_of_focus(480, 0, 2000)
    assert not out_of_focus(480, 0, 1700)
    assert not out_of_focus(160, 0, 2000)
