"""The catch of a run that is best to look at: pictures of it before, at and after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import StageMap
from smartscope.errors import Refused

if TYPE_CHECKING:
    from smartscope.storage.reader import Record, Run

_WIDTH_UM = 40.0
_BEFORE, _BURST, _AFTER = 3, 4, 2


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One square picture of the catch.

    Attributes
    ----------
    pixels : np.ndarray
        Shape ``(n, n)``.
    width_um : float
        Its edge.
    after_s : float
        Seconds since the onset; negative before.
    burst : bool
        From a burst; else from the survey.
    exposure : float
        Light of its frame, ms × %: shots of equal light share their contrast.
    window : tuple of float
        Contrast limits.
    """

    pixels: npt.NDArray[Any]
    width_um: float
    after_s: float
    burst: bool
    exposure: float
    window: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Catch:
    """One recognised occurrence with what the microscope saw of it.

    Attributes
    ----------
    name, place, title : str
        Its name and place; one line about it.
    x_um, y_um : float
        Where it happened.
    seen_s : float
        When it was recognised.
    shots : list of Shot
        By time.
    path_um : np.ndarray
        Shape ``(n, 2)``, stage x, y of the cell over time; of a split, of the mother
        and then of the brighter daughter.
    """

    name: str
    place: str
    title: str
    x_um: float
    y_um: float
    seen_s: float
    shots: list[Shot]
    path_um: npt.NDArray[np.float64]


def best_catch(run: Run) -> Catch | None:
    """Return the catch with the most frames of a burst, a true one if that is known.

    None if nothing was recognised.
    """
    if not run.occurrences:
        return None
    ordered_by = _bursts(run)
    late_s = {
        e["occurrence_id"]: e.get("delay_s")
        for e in (run.record.get("scores") or {}).get("per_event") or ()
        if e["caught"]
    }
    paths = _paths(run)

    def worth(o: Record) -> tuple[bool, int, bool, int]:
        frames = ordered_by.get(o["occurrence_id"], [])
        seen = sum(len(paths.get(i, ())) for i in o["track_ids"])
        return o["occurrence_id"] in late_s, len(frames), o["kind"] == "split", seen

    best = max(run.occurrences, key=worth)
    burst = ordered_by.get(best["occurrence_id"], [])
    path = [p for i in best["track_ids"][:2] for p in paths.get(i, ())]
    path.sort()
    headers = _chosen(run, best, burst)
    shots = [s for h in headers if (s := _shot(run, h, best, path)) is not None]
    how = f"a burst of {len(burst)} frames" if burst else "no burst"
    return Catch(
        name=best["name"],
        place=best["place"],
        title=f"{best['name']} at {best['place']}, recognised "
        f"{_when(best, late_s.get(best['occurrence_id']))}, answered by {how}; "
        "times since the first frame that shows it",
        x_um=best["x_um"],
        y_um=best["y_um"],
        seen_s=best["seen_s"],
        shots=_with_windows(shots),
        path_um=np.array([[x, y] for _, x, y in path]).reshape(-1, 2),
    )


def _when(best: Record, late_s: float | None) -> str:
    if late_s is not None:
        return f"{late_s:.3g} s after it happened"
    after_s = best["seen_s"] - best["onset_s"]
    return f"{after_s:.3g} s after its first frame" if after_s else "in its first frame"


def _bursts(run: Run) -> dict[str, list[Record]]:
    """Return the burst frames that answer each occurrence."""
    answers = {d["decision_id"]: d["occurrence_ids"] for d in run.decisions}
    found: dict[str, list[Record]] = {}
    for frame in run.frames:
        if frame["origin"] == "burst":
            for occurrence_id in answers.get(frame["decision_id"], ()):
                found.setdefault(occurrence_id, []).append(frame)
    return found


def _paths(run: Run) -> dict[int, list[tuple[float, float, float]]]:
    """Return time, x, y of each track where it was seen."""
    paths: dict[int, list[tuple[float, float, float]]] = {}
    for analysed in run.analysed:
        for track in analysed.get("tracks") or ():
            if track.get("missed", 0) == 0:
                paths.setdefault(track["track_id"], []).append(
                    (track["last_seen_s"], track["x_um"], track["y_um"])
                )
    return paths


def _chosen(run: Run, best: Record, burst: list[Record]) -> list[Record]:
    """Return a few frames before, the one that showed it, of the burst and after."""
    onset_s, seen_s = best["onset_s"], best["seen_s"]
    seen_in = [f for f in run.frames if f["frame_id"] in best["frame_ids"]]
    channel = seen_in[-1]["state"]["channel"] if seen_in else None
    # of cameras that expose together, one is shown
    camera = seen_in[-1].get("camera") if seen_in else None
    burst = [f for f in burst if camera in (None, f.get("camera"))]
    survey = [
        f
        for f in run.frames
        if f["place"] == best["place"]
        and f["origin"] == "survey"
        and channel in (None, f["state"]["channel"])
        and camera in (None, f.get("camera"))
    ]
    before = [f for f in survey if f["time_s"] < onset_s]
    at = [f for f in survey if onset_s <= f["time_s"] <= seen_s]
    after = [f for f in survey if f["time_s"] > seen_s]
    chosen = [
        *before[-_BEFORE:],
        *_spread(at, 2),
        *_spread(burst, _BURST),
        *after[: _AFTER if burst else _AFTER + _BURST],
    ]
    return sorted(chosen, key=lambda f: (f["time_s"], f["frame_id"]))


def _spread(frames: list[Record], n: int) -> list[Record]:
    """Return at most ``n`` of the frames, first and last among them."""
    at = np.unique(np.linspace(0, len(frames) - 1, min(n, len(frames))).round())
    return [frames[int(k)] for k in at]


def _shot(
    run: Run, header: Record, best: Record, path: list[tuple[float, float, float]]
) -> Shot | None:
    state = header["state"]
    x_um, y_um = best["x_um"], best["y_um"]
    if path:
        _, x_um, y_um = min(path, key=lambda p: abs(p[0] - header["time_s"]))
    rows, columns = header["shape"]
    (a, b), (c, d) = state.get("orientation") or ((1.0, 0.0), (0.0, 1.0))
    px_um = state["pixel_size_um"]
    half = int(min(_WIDTH_UM / px_um, rows, columns) / 2)
    row, column = (
        StageMap(px_um, ((a, b), (c, d)), state.get("offset_px", (0.0, 0.0)))
        .to_pixels(
            np.array([[x_um, y_um]]), (rows, columns), (state["x_um"], state["y_um"])
        )[0]
        .round()
        .astype(int)
    )
    if half < 1 or not (-half < row < rows + half and -half < column < columns + half):
        return None
    try:
        pixels = run.read(header["frame_id"])
    except Refused:
        return None  # a damaged run is shown as far as it goes
    return Shot(
        pixels=_crop(pixels, int(row), int(column), half),
        width_um=2 * half * px_um,
        after_s=header["time_s"] - best["onset_s"],
        burst=header["origin"] == "burst",
        exposure=round(state["exposure_ms"] * state.get("power_percent", 100.0), 3),
    )


def _crop(
    pixels: npt.NDArray[Any], row: int, column: int, half: int
) -> npt.NDArray[Any]:
    """Return the square around a pixel; beyond the frame's edge it is dark."""
    dark = np.percentile(pixels, 1)
    square = np.full((2 * half, 2 * half), dark, dtype=pixels.dtype)
    top, left = row - half, column - half
    part = pixels[max(top, 0) : row + half, max(left, 0) : column + half]
    y, x = max(-top, 0), max(-left, 0)
    square[y : y + part.shape[0], x : x + part.shape[1]] = part
    return square


def _with_windows(shots: list[Shot]) -> list[Shot]:
    """Give shots of equal light one contrast, so that brightness can be compared."""
    done = []
    for shot in shots:
        alike = [s.pixels.ravel() for s in shots if s.exposure == shot.exposure]
        low, high = np.percentile(np.concatenate(alike), [2, 99.8])
        done.append(replace(shot, window=(float(low), float(max(high, low + 1)))))
    return done
