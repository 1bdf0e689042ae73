"""Windows of frames: what a network of several frames is shown of the past."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused
from smartscope.training.settings import TrainSettings

Floats = npt.NDArray[np.float32]

# of the windows of something that stands still so many are made to move
_GLIDES, _NEW = 0.3, 0.1
_FASTEST_PX = 4  # a frame


def check_frames(name: str, there: int, settings: TrainSettings) -> None:
    """See that there are frames enough for a window.

    Parameters
    ----------
    name : str
        Of the image.
    there : int
        Frames that it has.
    settings : TrainSettings
        Method and frames.

    Raises
    ------
    smartscope.errors.Refused
        If there are not.
    """
    # of n2n one more: what is wanted must not be among what is shown
    needed = settings.frames + (settings.method == "n2n")
    if settings.frames == 1 or there >= needed:
        return
    way = {
        "n2v": "Give movies of one place, or take --frames 1.",
        "n2n": f"Take more repeats (pairs: repeats: {needed}), or fewer --frames.",
        "care": f"Take more repeats (pairs: repeats: {needed}), or fewer --frames.",
    }
    raise Refused(
        f"{name} has {there} noisy {'frame' if there == 1 else 'frames'}.",
        rule=f"{settings.method} with {settings.frames} frames needs {needed} of each "
        "place, taken one after the other.",
        way_out=way[settings.method],
    )


def window(
    movie: npt.NDArray[Any],
    newest: Floats,
    at: tuple[int, int, int],
    rng: np.random.Generator,
    *,
    frames: int,
    never: int | None = None,
    moved: bool = False,
) -> Floats:
    """Return a patch with the frames before it.

    Where there is none before it, the first one stands for it, as in a run; if that is
    the newest itself, it is shown as it is, with what is hidden in it.

    Parameters
    ----------
    movie : np.ndarray
        Shape ``(T, Y, X)``.
    newest : np.ndarray
        The patch, square.
    at : tuple of int
        Its frame, row and column.
    rng : np.random.Generator
        Draws what moves.
    frames : int
        Of the window.
    never : int, optional
        A frame that must not be shown, of repeats of what stands still; then the
        others stand for those before.
    moved : bool
        The movie shows what stands still: of some of the windows the frames before are
        cut from elsewhere, as if all had glided by up to 4 pixels a frame, and of some
        from anywhere, as if it were new. So a network learns to use only what agrees
        with the newest frame, and things that move leave no trail.

    Returns
    -------
    np.ndarray
        Shape ``(frames, Y, X)``, float32, the newest last.
    """
    t, y, x = at
    edge = newest.shape[0]
    if never is None:
        before = [max(0, t - k) for k in range(frames - 1, 0, -1)]
    else:
        others = [i for i in range(len(movie)) if i not in (t, never)]
        before = [others[(t - k) % len(others)] for k in range(frames - 1, 0, -1)]
    drawn = float(rng.random()) if moved else 1.0
    speed = rng.integers(-_FASTEST_PX, _FASTEST_PX + 1, 2)
    anywhere = [int(rng.integers(n - edge + 1)) for n in movie.shape[1:]]
    made = []
    for k, i in zip(range(frames - 1, 0, -1), before, strict=True):
        if i == t:
            made.append(newest)
            continue
        row, column = y, x
        if drawn < _NEW:
            row, column = anywhere
        elif drawn < _NEW + _GLIDES:
            row, column = (
                int(np.clip(begin + k * step, 0, n - edge))
                for begin, step, n in zip((y, x), speed, movie.shape[1:], strict=True)
            )
        made.append(movie[i][row : row + edge, column : column + edge])
    return np.stack([*made, newest]).astype(np.float32)
