"""A run that never was: cells, one of which divides, written by the real recorder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from useq import MDAEvent

from smartscope.acquisition import Frame, FrameState, StageMap
from smartscope.storage import ImageSpec, Journal, Recorder, RunFolder
from smartscope.telemetry import Telemetry

PX_UM = 0.5


def write_run(
    path: Path,
    *,
    rounds: int = 30,
    places: int = 4,
    shape: tuple[int, int] = (192, 192),
) -> Path:
    draw = np.random.default_rng(3)
    folder = RunFolder.create(path, "division hunt", need_mb=10)
    journal, telemetry = Journal(folder.journal), Telemetry()
    recorder = Recorder(folder, journal, telemetry=telemetry)
    record: dict[str, Any] = {
        "format": 1,
        "name": "division hunt",
        "started": "2026-11-20T14:03:05",
        "microscope": {"name": "simulated"},
        "experiment": {"analysis": {"occurrences": {"division": {"kind": "split"}}}},
        "notices": ["specimen.truth is taken from the simulation"],
    }
    folder.write_run_json(record)
    cells = draw.uniform(15, 80, (places, 8, 2))
    brightness = draw.uniform(120, 260, (places, 8))
    account = dict.fromkeys(range(places), 0.0)
    frame_id, onset_round = 0, rounds // 2

    def image(p: int, t: float) -> np.ndarray:
        y, x = np.mgrid[0 : shape[0], 0 : shape[1]] * PX_UM
        photons = np.full(shape, 25.0)
        for k, (cx, cy) in enumerate(cells[p]):
            cx, cy = cx + 0.05 * t, cy + 0.03 * t
            apart = max(0.0, t - onset_round) if k == 0 and p == 1 else 0.0
            near = k == 0 and p == 1 and t > onset_round - 3
            r = 3.2 if near else 6.0
            a = brightness[p, k] * (2.0 if near else 1.0)
            for s in (-1, 1) if apart else (0,):
                d2 = (x - cx - s * min(3 + 3 * apart, 9)) ** 2 + (y - cy) ** 2
                photons += a * np.exp(-d2 / (2 * (r / 1.6) ** 2)) / (1 + abs(s) * 0.4)
        counts = 0.5 * draw.poisson(photons) + draw.normal(100, 1.6, shape)
        return counts.astype(np.uint16)

    def take(
        p: int, t: float, origin: str, name: str, index: int, decision: str = ""
    ) -> Frame:
        nonlocal frame_id
        exposure_ms = 20.0 if origin == "survey" else 40.0
        account[p] += exposure_ms * 50
        # field centre on the stage: a grid of places
        state = FrameState(
            200.0 * p + 47.75 + (0.05 * t if p == 1 and t > onset_round else 0),
            47.75,
            0.0,
            exposure_ms,
            "green",
            PX_UM,
            power_percent=50.0,
        )
        frame = Frame(
            image(p, t),
            MDAEvent(index={"t": index, "p": p}),
            frame_id,
            t * 60.0 + p,
            time.monotonic(),
            f"p{p}",
            state,
            account[p],
            origin=origin,
            decision_id=decision,
        )
        header = frame.encode_header()
        recorder.append(frame, header, image=name, index=(index, 0, 0))
        telemetry.count("frames_acquired")
        frame_id += 1
        return frame

    for p in range(places):
        recorder.declare(
            ImageSpec(
                f"survey_p{p}", ("green",), interval_s=60.0, notes={"place": f"p{p}"}
            )
        )
    for t in range(rounds):
        for p in range(places):
            frame = take(p, t, "survey", f"survey_p{p}", t)
            x_um, y_um = _stage(frame, *(cells[p, 0] + [0.05 * t, 0.03 * t]))
            if (t + p) % 7 == 6:
                journal.write(
                    {
                        "kind": "skipped",
                        "frame_id": frame.frame_id,
                        "reason": "drop_oldest: a newer frame took its place",
                    }
                )
                telemetry.count("frames_skipped")
                continue
            _analysed(journal, frame, t * places + p, p, x_um, y_um)
            telemetry.count("frames_analysed")
            for step, ms in (("inference", 4.0), ("recognition", 0.7), ("decide", 7.0)):
                telemetry.took(step, ms * draw.lognormal(0, 0.3))
            if (p, t) in ((1, onset_round + 1), (2, 6)):
                _reaction(journal, frame, x_um, y_um)
                if p == 1:
                    for i in range(20):
                        at = t + 0.02 + i * 0.01
                        take(1, at, "burst", "burst_0001", i, f"{frame.frame_id}/0")
                    journal.write(
                        {
                            "kind": "outcome",
                            "decision_id": f"{frame.frame_id}/0",
                            "status": "done",
                            "reason": "20 frames",
                            "time_s": t * 60.0,
                            "frames": 20,
                        }
                    )
    recorder.close()
    counts, latencies = telemetry.counts(), telemetry.latencies()
    journal.write({"kind": "telemetry", "counts": counts, "latencies": latencies})
    journal.write({"kind": "end", "outcome": "completed", "exit_code": 0, "reason": ""})
    journal.close()
    folder.write_run_json({**record, "outcome": "completed", "exit_code": 0})
    return folder.path


def _stage(frame: Frame, x: float, y: float) -> tuple[float, float]:
    state = frame.state
    um = StageMap(PX_UM).to_stage(
        np.array([[y / PX_UM, x / PX_UM]]),
        frame.pixels.shape,  # type: ignore[arg-type]
        (state.x_um, state.y_um),
    )[0]
    return float(um[0]), float(um[1])


def _analysed(
    journal: Journal, frame: Frame, seq: int, p: int, x_um: float, y_um: float
) -> None:
    track = {
        "track_id": p,
        "place": f"p{p}",
        "x_um": x_um,
        "y_um": y_um,
        "first_seen_s": 0.0,
        "last_seen_s": frame.time_s,
        "frames": 1,
        "missed": 0,
    }
    journal.write(
        {
            "kind": "analysed",
            "seq": seq,
            "frame_id": frame.frame_id,
            "detections": {},
            "tracks": [track],
            "occurrences": [],
            "decisions": [],
            "timings_ms": {"inference": 4.0, "recognition": 0.7},
            "failures": [],
        }
    )


def _reaction(journal: Journal, frame: Frame, x_um: float, y_um: float) -> None:
    name = f"{frame.frame_id}.0"
    journal.write(
        {
            "occurrence_id": name,
            "name": "division",
            "kind": "occurrence",
            "how": "split",
            "place": frame.place,
            "x_um": x_um,
            "y_um": y_um,
            "onset_s": frame.time_s,
            "seen_s": frame.time_s,
            "confidence": 0.8,
            "track_ids": [int(frame.place[1:]), 101],
            "frame_ids": [frame.frame_id],
        }
    )
    for k, (policy, verdict) in enumerate(
        (("burst", "granted"), ("follow", "refused"))
    ):
        wish = {
            "kind": "burst",
            "place": frame.place,
            "track_id": -1,
            "x_um": x_um,
            "y_um": y_um,
            "frames": 20,
            "exposure_ms": 40.0,
            "channel": None,
            "interval_s": 0.0,
        }
        journal.write(
            {
                "kind": "decision",
                "decision_id": f"{frame.frame_id}/{k}",
                "frame_id": frame.frame_id,
                "time_s": frame.time_s,
                "handed_over_s": frame.handed_over_s,
                "policy": policy,
                "priority": 0,
                "wish": wish,
                "granted": wish if verdict == "granted" else None,
                "verdict": verdict,
                "reason": "cool-down" if k else "within all limits",
                "occurrence_ids": [name],
            }
        )
