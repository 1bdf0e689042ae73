"""Panel of the summary picture: one telling frame, raw and as a model restored it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import Frame
from smartscope.errors import Refused
from smartscope.storage.palette import FAINT, INK, SURVEY, TRUE, round_below, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

    from smartscope.storage.best_catch import Catch
    from smartscope.storage.reader import Record, Run

_WIDTH_UM = 40.0
_TRIED = 5
_SHOWN_PX = 512
Image = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A frame and its restored image, in the same units.

    Attributes
    ----------
    title : str
        One line about them.
    raw, restored : np.ndarray
        Shape ``(rows, columns)``, counts.
    scaled : bool
        True if the restored image came in other units and was brought to counts by the
        straight line that fits best.
    pixel_um : float
        Edge of a pixel.
    row, column, half : int
        The square that is shown large: its middle and half its edge.
    """

    title: str
    raw: Image
    restored: Image
    scaled: bool
    pixel_um: float
    row: int
    column: int
    half: int


def compare(run: Run, catch: Catch | None) -> Compared | None:
    """Return the restored frame that shows the catch best, else one with things in it.

    None if none is stored or readable.
    """
    for header in _telling(run, catch)[:_TRIED]:
        try:
            frame, restored = (
                run.frame(header["frame_id"]),
                run.restored(header["frame_id"]),
            )
        except Refused:
            continue  # a damaged run is shown as far as it goes
        if frame.pixels.shape == restored.shape and np.isfinite(restored).all():
            return _compared(run, catch, frame, restored.astype(np.float32))
    return None


def _telling(run: Run, catch: Catch | None) -> list[Record]:
    """Return headers of restored frames, the most telling first."""
    headers = run.restored_frames
    if catch is not None:
        near = [h for h in headers if h["place"] == catch.place]
        return sorted(near or headers, key=lambda h: abs(h["time_s"] - catch.seen_s))
    things = {a["frame_id"]: len(a.get("tracks") or ()) for a in run.analysed}
    return sorted(headers, key=lambda h: -things.get(h["frame_id"], 0))


def _compared(run: Run, catch: Catch | None, frame: Frame, restored: Image) -> Compared:
    raw = frame.pixels.astype(np.float32)
    slope, offset = _line(restored, raw)
    # a denoiser that keeps the counts is shown as it is
    scaled = not (0.7 < slope < 1.4 and abs(np.median(restored - raw)) < raw.std())
    if scaled:
        restored = np.float32(slope) * restored + np.float32(offset)
    rows, columns = raw.shape
    pixel_um = frame.state.pixel_size_um
    half = max(int(min(_WIDTH_UM / pixel_um, rows, columns) / 2), 1)
    row, column = _middle(run, catch, frame, restored)
    denoise = (run.experiment.get("analysis") or {}).get("denoise") or {}
    model = short(str(denoise.get("model", "a model")).rpartition("/")[2], 40)
    what = f": {catch.name}" if catch is not None else ""
    return Compared(
        title=f"Restored by {model}{what} at {frame.place}, frame {frame.frame_id}",
        raw=raw,
        restored=restored,
        scaled=scaled,
        pixel_um=pixel_um,
        row=min(max(row, half), rows - half),
        column=min(max(column, half), columns - half),
        half=half,
    )


def _line(restored: Image, raw: Image) -> tuple[float, float]:
    """Return slope and offset that bring a restored image to the counts of its frame.

    By the spreads and the correlation: a slope of 0 is none, and stays 1.
    """
    spread = float(restored.std())
    if spread == 0:
        return 1.0, float(raw.mean() - restored.mean())
    covariance = float(np.mean((restored - restored.mean()) * (raw - raw.mean())))
    slope = covariance / spread**2
    if slope <= 0:  # a model that turns dark to bright is brought to the same spread
        slope = float(raw.std()) / spread
    return slope, float(raw.mean()) - slope * float(restored.mean())


def _middle(
    run: Run, catch: Catch | None, frame: Frame, restored: Image
) -> tuple[int, int]:
    """Return row and column of what is worth a closer look."""
    state = frame.state
    rows, columns = frame.pixels.shape
    seen = next(
        (a for a in run.analysed if a["frame_id"] == frame.frame_id), {"tracks": ()}
    )
    tracks = [t for t in seen.get("tracks") or () if t.get("missed", 0) == 0]
    places = [(t["x_um"], t["y_um"]) for t in tracks]
    if catch is not None:
        # it has moved since; the track that was next to it is where it is now
        at = np.array([catch.x_um, catch.y_um])
        places.sort(key=lambda p: float(np.hypot(*(np.array(p) - at))))
        places = [p for p in places[:1] if np.hypot(*(np.array(p) - at)) < _WIDTH_UM]
        places = places or [(catch.x_um, catch.y_um)]
    if places:
        at_px = state.stage_map.to_pixels(
            np.array(places), (rows, columns), (state.x_um, state.y_um)
        ).round()
        # the brightest of those that are not at the edge
        inside = [
            (int(r), int(c)) for r, c in at_px if 0 <= r < rows and 0 <= c < columns
        ]
        if inside:
            return max(inside, key=lambda at: float(restored[at]))
    row, column = np.unravel_index(int(restored.argmax()), restored.shape)
    return int(row), int(column)


def draw_restored(part: SubFigure, compared: Compared, told: dict[str, int]) -> None:
    """Draw a frame raw and restored, whole and close, and a line through both."""
    more = [f"{told[k]} {k}" for k in ("dropped", "lost") if told.get(k)]
    kept = ", ".join([f"{told['stored']:,} restored images stored", *more])
    part.text(0.022, 0.93, compared.title, size=11, weight="bold", va="center")
    part.text(0.978, 0.93, kept, size=9.5, va="center", ha="right", color=FAINT)
    window = np.percentile(compared.raw[::2, ::2], [2, 99.8])
    low, high = float(window[0]), float(max(window[1], window[0] + 1e-6))
    square = (
        slice(compared.row - compared.half, compared.row + compared.half),
        slice(compared.column - compared.half, compared.column + compared.half),
    )
    step = max(1, max(compared.raw.shape) // _SHOWN_PX)
    near = np.percentile(compared.raw[square], [1, 99.8])
    close = float(near[0]), float(max(near[1], near[0] + 1e-6))
    panels = (
        ("raw", compared.raw[::step, ::step], (low, high), None),
        ("restored", compared.restored[::step, ::step], (low, high), None),
        ("raw", compared.raw[square], close, SURVEY),
        ("restored", compared.restored[square], close, TRUE),
    )
    for k, (name, pixels, limits, color) in enumerate(panels):
        axes = part.add_axes((0.022 + k * 0.1625, 0.05, 0.1545, 0.75))
        axes.imshow(
            pixels,
            cmap="gray",
            vmin=limits[0],
            vmax=limits[1],
            interpolation="nearest",
        )
        axes.set(xticks=[], yticks=[], anchor="W")
        for spine in axes.spines.values():
            spine.set(visible=True, color=color or FAINT, linewidth=2.2)
        axes.set_title(
            name if color is None else f"{name}, close",
            size=9.5,
            color=color or INK,
            loc="left",
            pad=3,
        )
        width_um = pixels.shape[1] * compared.pixel_um * (1 if color else step)
        _scale_bar(axes, pixels.shape, width_um)
        if color is None:
            _mark(axes, compared, step)
        else:
            middle = compared.half - 0.5
            axes.axhline(middle, color=color, linewidth=0.8, alpha=0.6, dashes=(4, 4))
    _draw_line(part.add_axes((0.725, 0.17, 0.253, 0.60)), compared, square)


def _mark(axes: Axes, compared: Compared, step: int) -> None:
    """Frame the square that is shown close."""
    from matplotlib.patches import Rectangle

    edge = 2 * compared.half / step
    corner = (
        (compared.column - compared.half) / step - 0.5,
        (compared.row - compared.half) / step - 0.5,
    )
    axes.add_patch(
        Rectangle(corner, edge, edge, fill=False, color=INK, linewidth=1, alpha=0.8)
    )


def _scale_bar(axes: Axes, shape: tuple[int, ...], width_um: float) -> None:
    rows, columns = shape
    bar_um = round_below(width_um / 3)
    x, y = 0.06 * columns, 0.93 * rows
    axes.plot([x, x + bar_um / width_um * columns], [y, y], color="white", linewidth=3)
    axes.text(
        x,
        y - 0.025 * rows,
        f"{bar_um:g} µm",
        color="white",
        ha="left",
        va="bottom",
        size=8.5,
    )


def _draw_line(axes: Axes, compared: Compared, square: tuple[slice, slice]) -> None:
    """Draw the counts along the dashed line, and how rough both images are."""
    columns = square[1]
    at_um = (np.arange(columns.stop - columns.start) + 0.5) * compared.pixel_um
    # the middle of the square lies between two rows
    rows = slice(compared.row - 1, compared.row + 1)
    word = "restored, brought to counts" if compared.scaled else "restored"
    lines: tuple[tuple[str, Image, str, dict[str, Any]], ...] = (
        ("raw", compared.raw, SURVEY, {"linewidth": 1.0, "alpha": 0.9}),
        (word, compared.restored, TRUE, {"linewidth": 2.0}),
    )
    for name, image, color, how in lines:
        along = image[rows, columns].mean(axis=0)
        rough = f"{name}: ±{_roughness(image):.2g} between neighbours"
        axes.plot(at_um, along, color=color, label=rough, **how)
    axes.set_title("Counts along the dashed line", size=9.5, weight="normal", pad=3)
    axes.set(xlabel="µm", xlim=(0, at_um[-1] + at_um[0]))
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))  # room for the words
    axes.legend(loc="upper left", handlelength=1.4, borderaxespad=0.2)


def _roughness(image: Image) -> float:
    """Return the noise of a pixel: the robust spread of the steps between neighbours.

    The median absolute step times 1.4826 is the standard deviation of a normal
    distribution, and a step has the noise of two pixels.
    """
    steps = np.diff(image, axis=1)
    return float(1.4826 / np.sqrt(2) * np.median(np.abs(steps - np.median(steps))))
