"""What every test must leave behind, and truths that several rooms are tested with."""

from __future__ import annotations

import gc
import logging
import multiprocessing
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import HealthCheck, settings
from scipy.ndimage import gaussian_filter

# a busy machine must not turn a slow example into a failure: no test is about time
settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")

if TYPE_CHECKING:
    from collections.abc import Iterator

# pymmcore-plus sets the root logger to DEBUG; matplotlib then tells of every font
logging.getLogger("matplotlib").setLevel(logging.INFO)

# threads of libraries that live as long as the process, by the start of their name
_LASTING = ("pymmcore", "tensorstore", "QueueFeederThread", "asyncio_")
# how long a thread may take that was told to end just before the test ended
_GRACE_S = 2.0


@pytest.fixture(autouse=True)
def _no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a thread or a child process, and tell which and why."""
    threads = set(threading.enumerate())
    children = set(multiprocessing.active_children())
    yield
    if request.node.get_closest_marker("allow_leaks"):
        return
    left = [
        f"thread {t.name!r} ({'daemon' if t.daemon else 'keeps the interpreter alive'}"
        f"), running {_target(t)}"
        for t in threading.enumerate()
        if t not in threads and not t.name.startswith(_LASTING) and _still(t)
    ]
    left += [
        f"child process {c.name!r} (pid {c.pid})"
        for c in multiprocessing.active_children()
        if c not in children
    ]
    if left:
        pytest.fail(
            f"{request.node.nodeid} left behind:\n  "
            + "\n  ".join(left)
            + "\nWhoever starts a thread or a process ends it: close() or a with block "
            "of its owner is missing, or close() does not join. A test that must leave "
            "one says so with @pytest.mark.allow_leaks.",
            pytrace=False,
        )


def _still(thread: threading.Thread) -> bool:
    thread.join(_GRACE_S)
    return thread.is_alive()


def _target(thread: threading.Thread) -> str:
    run = getattr(thread, "_target", None) or type(thread).run
    return f"{run.__module__}.{run.__qualname__}"


@pytest.fixture(autouse=True, scope="module")
def _cores_closed() -> Iterator[None]:
    """Unload the devices of every core that a module's tests have left open.

    A core that dies with the interpreter aborts it, so its callback is taken off too.
    """
    yield
    if "pymmcore_plus" not in sys.modules:
        return
    import pymmcore
    from pymmcore_plus import CMMCorePlus

    kinds = _kinds(CMMCorePlus)
    gc.collect()
    for core in [o for o in gc.get_objects() if type(o) in kinds]:
        core.unloadAllDevices()
        pymmcore.CMMCore.registerCallback(core, None)


def _kinds(base: type) -> set[type]:
    return {base}.union(*(_kinds(kind) for kind in base.__subclasses__()))


def _photons(seed: int, size: int = 64) -> npt.NDArray[np.float64]:
    """Return an image of spots on a background, photons a pixel."""
    rng = np.random.default_rng(seed)
    image = np.zeros((size, size))
    for at in rng.integers(6, size - 6, (14, 2)):
        image[tuple(at)] += 400
    return gaussian_filter(image, 1.8) + 4


def _counts(photons: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.uint16]:
    """Return what a camera makes of it: half a count a photon, offset 100."""
    rng = np.random.default_rng([seed, 1])
    counts = 0.5 * rng.poisson(photons) + rng.normal(100, 1.6, photons.shape)
    return np.rint(counts).clip(0, 65535).astype(np.uint16)


@pytest.fixture
def write_pairs(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of a folder with ``noisy`` and ``clean``; changes by name."""

    def write(count: int = 5, *, size: int = 64, **changed: npt.NDArray[Any]) -> Path:
        folder = tmp_path / "data"
        for i in range(count):
            photons = _photons(i, size)
            images = {"noisy": _counts(photons, i), "clean": _counts(20 * photons, i)}
            for kind, image in images.items():
                (folder / kind).mkdir(parents=True, exist_ok=True)
                image = changed.get(f"{kind}{i}", image)
                tifffile.imwrite(
                    folder / kind / f"a{i}.tif", image, photometric="minisblack"
                )
        return folder

    return write
