"""Hills on points: what a heat net is asked for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_REACH = 3.5  # standard deviations: beyond it a hill is 0


def heat_target(
    points: npt.NDArray[np.float64], shape: tuple[int, int], grid: int, spread_px: float
) -> npt.NDArray[np.float32]:
    """Return a map with a hill on each point; where hills meet, the higher one counts.

    A hill is ``exp(-d² / (2 spread²))`` of the distance d from the point itself, which
    may lie between pixels, so that the parabola through its top finds it again. After
    Zhou et al., Objects as points (2019), who round points to pixels.

    Parameters
    ----------
    points : np.ndarray
        ``(n, 2)``, rows and columns in pixels of the image, also outside of it.
    shape : tuple of int
        Rows and columns of the image, multiples of `grid`.
    grid : int
        Pixels of the image for each pixel of the map, which stands for their middle.
    spread_px : float
        Standard deviation, pixels of the image.

    Returns
    -------
    np.ndarray
        ``(Y / grid, X / grid)`` in [0, 1].
    """
    rows, columns = shape[0] // grid, shape[1] // grid
    reach = int(np.ceil(_REACH * spread_px / grid))
    at = (np.reshape(points, (-1, 2)) - (grid - 1) / 2) / grid
    near = np.rint(at).astype(np.intp)
    kept = ((near >= -reach) & (near < np.add((rows, columns), reach))).all(axis=1)
    at, near = at[kept], near[kept]
    # a border on all sides takes what of a hill lies outside
    border = 2 * reach
    made = np.zeros((rows + 2 * border, columns + 2 * border), np.float32)
    steps = np.arange(-reach, reach + 1)
    y, x = near[:, :1] + steps, near[:, 1:] + steps
    hills = (
        _fall(y - at[:, :1], spread_px / grid)[:, :, None]
        * _fall(x - at[:, 1:], spread_px / grid)[:, None, :]
    )
    np.maximum.at(made, (y[:, :, None] + border, x[:, None, :] + border), hills)
    inside = np.s_[border : border + rows, border : border + columns]
    return np.ascontiguousarray(made[inside])


def _fall(away: npt.NDArray[np.float64], spread: float) -> npt.NDArray[np.float32]:
    fallen: npt.NDArray[np.float32] = np.exp(-0.5 * np.square(away / spread)).astype(
        np.float32
    )
    return fallen
