"""Where the cells are: a smooth persistent random walk in which they make room."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from smartscope.simulation.lineage import SEPARATION_RADII, SEPARATION_S, Cell
from smartscope.simulation.settings import SpecimenSettings

_STEP_S = 20.0
_PERSISTENCE_S = 300.0

Points = npt.NDArray[np.float64]


class Motion:
    """Positions of all cells as a pure function of time.

    The walk is drawn step by step, always from the start, as far as somebody has asked;
    so what is seen at a time does not depend on who asked before.
    """

    def __init__(
        self, cells: Sequence[Cell], settings: SpecimenSettings, seed: int
    ) -> None:
        self._rng = np.random.default_rng([abs(seed), 0x3A1F])
        self._settings = settings
        self._lock = threading.Lock()
        self._birth = np.array([c.birth_s for c in cells])
        self._division = np.array([c.division_s for c in cells])
        self._death = np.array([c.death_s for c in cells])
        self._end = np.array([c.end_s for c in cells])
        self._mother = np.array([c.mother for c in cells])
        self._radius = np.array([c.radius_um for c in cells])
        axis = np.array([cells[c.mother].axis if c.mother >= 0 else 0.0 for c in cells])
        side = np.array([c.side for c in cells], dtype=float)
        self._away = side[:, None] * np.stack([np.cos(axis), np.sin(axis)], axis=1)
        self._away *= SEPARATION_RADII / 2 * self._radius_of_mother()[:, None]
        self._velocity = np.zeros((len(cells), 2))
        first = np.zeros((len(cells), 2))
        start = np.flatnonzero(self._mother < 0)
        first[start] = self._scatter(len(start))
        self._walk: list[Points] = [first]

    def _radius_of_mother(self) -> npt.NDArray[np.float64]:
        return np.asarray(self._radius[np.maximum(self._mother, 0)])

    def alive(self, t_s: float) -> npt.NDArray[np.intp]:
        """Return the numbers of the cells that live at ``t_s``."""
        return np.flatnonzero((self._birth <= t_s) & (t_s < self._end))

    def positions(self, numbers: npt.NDArray[np.intp], t_s: float) -> Points:
        """Return stage x, y in µm, shape ``(n, 2)``, of cells at ``t_s``."""
        t_s = min(max(t_s, 0.0), self._settings.duration_s)
        step = int(t_s / _STEP_S)
        with self._lock:
            while len(self._walk) < step + 2:
                self._go_on()
            before, after = self._walk[step], self._walk[step + 1]
        f = t_s / _STEP_S - step
        at = (1 - f) * before[numbers] + f * after[numbers]
        return np.asarray(at + self._apart(numbers, t_s))

    def _apart(self, numbers: npt.NDArray[np.intp], t_s: float) -> Points:
        """How far each is from where its mother divided, along the axis."""
        age = np.maximum(t_s - self._birth[numbers], 0.0)
        moved = np.where(self._mother[numbers] >= 0, -np.expm1(-age / SEPARATION_S), 0)
        return np.asarray(self._away[numbers] * moved[:, None])

    def _scatter(self, n: int) -> Points:
        """Throw n points into the area, no nearer than 2.3 radii if possible."""
        area = np.asarray(self._settings.area_um)
        nearest = 2.3 * self._settings.radius_um
        points = np.empty((0, 2))
        for _ in range(n):
            tries = (self._rng.random((30, 2)) - 0.5) * area
            gaps = np.linalg.norm(tries[:, None] - points[None], axis=2)
            gap = gaps.min(axis=1) if len(points) else np.full(30, np.inf)
            far = np.flatnonzero(gap > nearest)
            best = far[0] if len(far) else int(gap.argmax())
            points = np.vstack([points, tries[best]])
        return points

    def _go_on(self) -> None:
        """Draw the next step."""
        t = (len(self._walk) - 1) * _STEP_S
        here = self._walk[-1].copy()
        lives = np.flatnonzero((self._birth < t) & (self._end > t))
        noise = self._rng.standard_normal((len(lives), 2))
        self._steer(lives, t, noise)
        there = here.copy()
        there[lives] += self._velocity[lives] * _STEP_S
        if not self._settings.crossing:
            there[lives] += self._make_room(lives, here, t)
        half = np.asarray(self._settings.area_um) / 2
        inward = -np.sign(there[lives]) * np.abs(self._velocity[lives])
        outside = np.abs(there[lives]) > half
        self._velocity[lives] = np.where(outside, inward, self._velocity[lives])
        # daughters born in this step go with their mother until its end
        born = np.flatnonzero(
            (self._birth >= t) & (self._birth < t + _STEP_S) & (self._mother >= 0)
        )
        self._walk[-1] = here
        here[born], there[born] = here[self._mother[born]], there[self._mother[born]]
        self._walk.append(there)

    def _steer(self, lives: npt.NDArray[np.intp], t: float, noise: Points) -> None:
        keep = np.exp(-_STEP_S / _PERSISTENCE_S)
        # a cell that divides or dies stays where it is
        dying = self._death[lives] <= t
        rounded = self._division[lives] - t < self._settings.mitosis_s
        young = t - self._birth[lives] < 600
        speed = self._settings.speed_um_per_min / 60 / np.sqrt(2)
        speeds = np.where(rounded | young | dying, 0.2 * speed, speed)[:, None]
        kick = np.sqrt(1 - keep**2) * speeds * noise
        self._velocity[lives] = keep * self._velocity[lives] + kick

    def _make_room(self, lives: npt.NDArray[np.intp], here: Points, t: float) -> Points:
        from scipy.spatial import cKDTree

        at = here[lives] + self._apart(lives, t)
        pairs = cKDTree(at).query_pairs(2.6 * self._radius.max(), output_type="ndarray")
        push = np.zeros_like(at)
        if len(pairs) == 0:
            return push
        i, j = pairs.T
        apart = at[i] - at[j]
        distance = np.linalg.norm(apart, axis=1)
        wanted = 1.1 * (self._radius[lives[i]] + self._radius[lives[j]])
        lack = np.clip(wanted - distance, 0, None)
        mothers, births = self._mother[lives], self._birth[lives]
        sisters = (mothers[i] == mothers[j]) & (mothers[i] >= 0) & (t - births[i] < 900)
        lack[sisters] = 0
        shift = 0.08 * lack[:, None] * apart / np.maximum(distance, 1e-6)[:, None]
        np.add.at(push, i, shift)
        np.add.at(push, j, -shift)
        return push
