"""``smartscope doctor``: what this machine has, and what is broken on it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from smartscope.inference import Runtime, probe_runtime

_BLOCK = 8 * 2**20
_BLOCKS = 8


def examine(
    folder: Path, *, runtime: Callable[[], Runtime] = probe_runtime
) -> dict[str, Any]:
    """Look at the machine; nothing is left behind.

    Parameters
    ----------
    folder : Path
        Where runs would be written; its disk is measured.
    runtime : Callable
        Looks at onnxruntime.

    Returns
    -------
    dict
        Plain values; ``problems`` are what keeps smartscope from working as it should,
        ``notes`` what is good to know.
    """
    problems: list[str] = []
    notes: list[str] = []
    found = runtime()
    problems += found.problems
    for provider in found.providers:
        if not provider.obtained:
            told = f"{provider.name} is in the onnxruntime wheel and does not run here"
            line = f"{told}: {provider.why}."
            # a GPU that is not there is no fault; a wheel that runs nowhere is
            (problems if provider.name == "cpu" else notes).append(line)
    return {
        "python": {"version": platform.python_version(), "path": sys.executable},
        "smartscope": _version("smartscope"),
        "system": platform.platform(),
        "cores": _cores(),
        "onnxruntime": {
            "wheels": found.wheels,
            "version": found.version,
            "providers": [asdict(p) for p in found.providers],
        },
        "micro_manager": _micro_manager(problems, notes),
        "disk": _disk(folder, problems),
        "problems": problems,
        "notes": notes,
    }


def lines(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what was found, in plain words."""
    python, runtime = told["python"], told["onnxruntime"]
    manager, disk = told["micro_manager"], told["disk"]
    wheels = ", ".join(f"{k} {v}" for k, v in runtime["wheels"].items()) or "none"
    running = [p["name"] for p in runtime["providers"] if p["obtained"]]
    rows = [
        ("Python", f"{python['version']} ({python['path']})"),
        ("smartscope", told["smartscope"]),
        ("system", told["system"]),
        ("cores", str(told["cores"])),
        ("onnxruntime", wheels),
        ("models run on", ", ".join(running) or "nothing"),
        ("device interface", manager["device_interface"] or "none"),
        ("demo devices", manager["demo_devices"] or "not installed"),
        ("Micro-Manager", manager["folder"] or "not found"),
    ]
    if disk["write_mb_per_s"] is not None:
        speed = f"writes about {disk['write_mb_per_s']:.0f} MB/s"
        rows.append(
            ("disk", f"{speed}, {disk['free_gb']:.0f} GB free ({disk['path']})")
        )
    rows += [("note", note) for note in told["notes"]]
    rows += [("PROBLEM", problem) for problem in told["problems"]]
    return rows


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _micro_manager(problems: list[str], notes: list[str]) -> dict[str, Any]:
    """Look for devices without making a core, which would say things in red."""
    import pymmcore
    from pymmcore_plus import find_micromanager

    interface = str(pymmcore.__version__)
    demo = _version("mm-test-adapters")
    folders = find_micromanager(return_first=False) or []
    real = [f for f in map(str, folders) if "mm_test_adapters" not in f]
    ours = interface.split(".")[3] if interface.count(".") >= 3 else None
    if demo is not None and ours is not None and demo.split(".")[0] != ours:
        problems.append(
            f"mm-test-adapters {demo} has another device interface than pymmcore "
            f"({ours}), so its demo devices cannot be loaded. Run: "
            f'pip install "mm-test-adapters=={ours}.*".'
        )
    if not real:
        notes.append(
            "Micro-Manager was not found: simulated microscopes work, real ones need "
            "it. 'mmcore install' gets it."
        )
    return {
        "device_interface": interface,
        "demo_devices": demo,
        "folder": real[0] if real else None,
    }


def _disk(folder: Path, problems: list[str]) -> dict[str, Any]:
    """Write 64 MB to the disk and to it only: it is asked to be done."""
    told: dict[str, Any] = {"path": str(folder), "write_mb_per_s": None}
    block = os.urandom(_BLOCK)  # a disk that compresses shall not be taken in
    try:
        told["free_gb"] = shutil.disk_usage(folder).free / 1e9
        with tempfile.TemporaryFile(dir=folder) as file:
            began = time.perf_counter()
            for _ in range(_BLOCKS):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            took_s = time.perf_counter() - began
    except OSError as e:
        problems.append(f"Nothing can be written in {folder}: {e.strerror}.")
        return {"free_gb": None, **told}
    told["write_mb_per_s"] = _BLOCK * _BLOCKS / 1e6 / max(took_s, 1e-6)
    return told
