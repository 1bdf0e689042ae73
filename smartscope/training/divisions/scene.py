"""Who lives in a field: how many nuclei, how large, and what each of them does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from smartscope.training.divisions.cut_outs import CutOuts
from smartscope.training.divisions.lives import (
    Chromosomes,
    Dividing,
    Dying,
    Life,
    Resting,
    Walk,
)
from smartscope.training.divisions.part import Part
from smartscope.training.divisions.places import thrown
from smartscope.training.divisions.seen_as import (
    seen_condensed,
    seen_dividing,
    seen_resting,
)
from smartscope.training.scenes.canvas import log_uniform

DIAMETERS_PX = (9.0, 42.0)
_DIAMETER_PX, _SPREAD = 19.0, 0.35  # 12 µm at 0.65 µm per pixel
PARTING_FRAMES = (0.15, 6.0)
"""After which 1/e of the way is left that the two masses go."""

When = Literal["now", "other", "movie"]

_MOST = 70  # nuclei of one field
_CONDENSED = 0.6  # of the bright ones: they look like cells in mitosis
_ONE_LAYER = 0.85  # of the fields: their nuclei do not pass through each other
_NEAREST = 0.8  # of both radii: so near they come to each other there
_ONE_LAYER = 0.85  # of the fields: their nuclei do not pass through each other
_NEAREST = 0.8  # of both radii: so near they come to each other there
# of the mitoses seen as figures
_HALVED = 0.35  # masses are two halves of a plate
_FROM_ABOVE = 0.3  # the plate is seen so, or is none yet
_KINDS = (
    "resting",
    "dividing",
    "dying",
    "lobed",
    "pair",
    "bright",
    "comes",
    "crumbs",
)
_SHARES = (0.54, 0.16, 0.06, 0.05, 0.08, 0.04, 0.03, 0.04)


@dataclass(frozen=True, slots=True)
class Scene:
    """A field over the frames of a movie.

    Attributes
    ----------
    lives : tuple of Life
        What is in it.
    divisions : tuple of Dividing
        Those of them that divide.
    diameter_px : float
        Of a usual nucleus.
    """

    lives: tuple[Life, ...]
    divisions: tuple[Dividing, ...]
    diameter_px: float


class SceneDrawer:
    """Draws the lives of one field.

    Parameters
    ----------
    rng : np.random.Generator
        Everything is drawn from it.
    edge : int
        Rows and columns of the field, pixels.
    frames : int
        Of the movie.
    cut_outs : CutOuts, optional
        As which they are seen, but for crumbs and debris.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        edge: int,
        frames: int,
        cut_outs: CutOuts | None = None,
    ) -> None:
        self._rng, self._edge, self._frames = rng, edge, frames
        self._cut_outs = cut_outs
        usual = _DIAMETER_PX * math.exp(rng.normal(0, _SPREAD))
        largest = max(DIAMETERS_PX[0], min(DIAMETERS_PX[1], 0.45 * edge))
        self.diameter_px = self._diameter = min(max(usual, DIAMETERS_PX[0]), largest)
        self._parting = log_uniform(rng, *PARTING_FRAMES)
        self._uneven = rng.uniform(0.08, 0.6)
        self._sizes = rng.uniform(0.04, 0.2)
        self._soft = rng.uniform(0.4, 0.05 * self._diameter + 0.6)
        self._grain = rng.uniform(0.0, 0.3)
        # from one frame to the next some hardly move, some by a third of their size
        paced = log_uniform(rng, 0.003, 0.12) / math.sqrt(self._parting)
        fast = rng.uniform(0.08, 0.3) if rng.random() < 0.35 else 0.0
        self._speed = self._diameter * max(min(paced, 0.25), fast)
        self._condensed = rng.uniform(0.45, 1.1)
        self._daughters = rng.uniform(0.5, 1.25)
        self._between = rng.uniform(0.2, 1.0) if rng.random() < 0.1 else 0.0
        self._rag = rng.uniform(0.0, 0.2)
        self._restless = log_uniform(rng, 0.003, 0.12)
        self._churned = rng.random() < 0.4
        self._one_layer = rng.random() < _ONE_LAYER

    def drawn(self, divisions: int | None = None) -> Scene:
        """Return a scene.

        Parameters
        ----------
        divisions : int, optional
            So many begin their anaphase about the last frame, beside others at other
            times; default: at any time of a movie.
        """
        rng = self._rng
        lives: list[Life] = []
        dividing: list[Dividing] = []
        density = log_uniform(rng, 0.015, 0.4)
        margin = 0.5 * self._diameter
        area = (self._edge + 2 * margin) ** 2
        usual = density * area / (math.pi / 4 * self._diameter**2)
        number = min(int(rng.poisson(usual)) + (divisions or 0), _MOST)
        nearest = self._diameter * rng.uniform(0.8, 1.3)
        places = thrown(rng, number, self._edge, margin, nearest)
        for i, (row, column) in enumerate(places):
            now = divisions is not None and i < divisions
            kind = "now" if now else str(rng.choice(_KINDS, p=_SHARES))
            new: Sequence[Life]
            if kind in ("now", "dividing"):
                when: When = "now" if now else "other"
                if divisions is None:
                    when = "movie"
                new = [self._dividing(row, column, when)]
            elif kind == "dying":
                new = [self._dying(row, column)]
            elif kind == "pair":
                new = self._pair(row, column)
            else:
                new = [self._resting(kind, row, column)]
            if self._one_layer and not now and self._in_the_way(new, lives):
                continue
            lives += new
            dividing += [one for one in new if isinstance(one, Dividing)]
        lives.extend(self._debris() for _ in range(int(rng.poisson(0.8))))
        return Scene(tuple(lives), tuple(dividing), self._diameter)

    def parts(self, scene: Scene) -> list[Part]:
        """Return what is seen of all lives in all frames.

        Nothing keeps its shape and place exactly: each part differs a little from frame
        to frame, in some scenes its chromatin too.
        """
        made = [
            part
            for life in scene.lives
            for frame in range(self._frames)
            for part in life.parts(frame)
        ]
        much = self._restless
        changes = self._rng.normal(0, much, (len(made), 6))
        changed = []
        for part, (row, column, a, b, angle, light) in zip(made, changes, strict=True):
            size = 0.5 * math.sqrt(part.a * part.b)
            texture = part.texture + 7 * part.frame * self._churned
            changed.append(
                part._replace(
                    row=part.row + size * row,
                    column=part.column + size * column,
                    a=part.a * math.exp(a),
                    b=part.b * math.exp(b),
                    angle=part.angle + angle,
                    light=part.light * math.exp(light),
                    texture=texture,
                )
            )
        return changed

    def _in_the_way(self, new: Sequence[Life], there: Sequence[Life]) -> bool:
        """Return whether one of them would have to pass through another."""
        if not there:
            return False
        theirs, their_px = self._paths(there)
        for path, radius_px in zip(*self._paths(new), strict=True):
            off = theirs - path
            gap = np.hypot(off[..., 0], off[..., 1]).min(axis=1)
            if (gap < _NEAREST * (their_px + radius_px)).any():
                return True
        return False

    def _paths(
        self, lives: Sequence[Life]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return where they are in each frame, and their radii in pixels."""
        path = [[one.walk.at(k) for k in range(self._frames)] for one in lives]
        radii = [math.sqrt(one.look.a * one.look.b) for one in lives]
        return np.array(path), np.array(radii)

    def _nucleus(self) -> Part:
        rng = self._rng
        size = self._diameter / 2 * math.exp(rng.normal(0, self._sizes))
        aspect = math.sqrt(rng.uniform(1.0, 1.9))
        look = Part(
            frame=0,
            row=0.0,
            column=0.0,
            a=size * aspect,
            b=size / aspect,
            angle=float(rng.uniform(0, 2 * math.pi)),
            light=math.exp(rng.normal(0, self._uneven)),
            bend=float(rng.normal(0, 0.1)),
            rag=float(abs(rng.normal(0, 0.05))),
            dome=float(rng.uniform(0.0, 0.6)),
            soft=self._soft,
            grain=self._grain,
            texture=int(rng.integers(1 << 20)),
        )
        if self._cut_outs is not None:
            look = seen_resting(rng, self._cut_outs, look)
        return look

    def _walk(self, row: float, column: float, slower: float = 1.0) -> Walk:
        rng = self._rng
        speed = slower * self._speed
        velocity = rng.normal(0, speed, 2)
        # it is there in the last frame, wherever it comes from
        last = self._frames - 1
        return Walk(
            row - velocity[0] * last,
            column - velocity[1] * last,
            (float(velocity[0]), float(velocity[1])),
            spin=float(rng.normal(0, 0.03 if rng.random() < 0.8 else 0.25)),
            sway=float(rng.uniform(0, 0.7) * speed),
            phase=float(rng.uniform(0, 6)),
        )

    def _resting(self, kind: str, row: float, column: float) -> Resting:
        rng, look = self._rng, self._nucleus()
        walk = self._walk(row, column)
        if kind == "lobed":
            lobes = tuple(
                (
                    float(rng.uniform(-1.1, 1.1)),
                    float(rng.uniform(-1.1, 1.1)),
                    float(rng.uniform(0.3, 0.9)),
                )
                for _ in range(int(rng.integers(1, 4)))
            )
            look = look._replace(
                a=0.75 * look.a, b=0.75 * look.b, light=0.8 * look.light, cut_out=-1
            )
            return Resting(look, walk, lobes)
        if kind == "crumbs":
            # what is left of a dead cell, or dirt
            places = rng.normal(0, 2.5, (int(rng.integers(2, 9)), 2))
            lobes = tuple((u, v, float(rng.uniform(0.5, 1.3))) for u, v in places)
            size = max(0.8, rng.uniform(0.06, 0.16) * self._diameter)
            light = look.light * rng.uniform(0.3, 2.0)
            crumb = look._replace(a=size, b=size, light=light, cut_out=-1)
            return Resting(crumb, walk, lobes)
        if kind == "bright":
            # condensed, or dead: small and bright, and it stays so
            if self._cut_outs is not None and rng.random() < _CONDENSED:
                return Resting(seen_condensed(rng, self._cut_outs, look), walk)
            shrink = rng.uniform(0.35, 0.75)
            return Resting(
                look._replace(
                    a=shrink * look.a,
                    b=shrink * look.b * rng.uniform(0.5, 1.0),
                    light=look.light * rng.uniform(1.3, 4.0),
                    rag=self._rag,
                ),
                walk,
            )
        if kind == "comes":
            return Resting(
                look,
                walk,
                seen_from=float(rng.uniform(0.3, self._frames)),
                rise=float(rng.uniform(0.2, 3.0)),
            )
        return Resting(look, walk)

    def _pair(self, row: float, column: float) -> list[Resting]:
        """Return two that touch, meet, part, or lie beside each other."""
        rng = self._rng
        direction = rng.uniform(0, 2 * math.pi)
        nearest = 0.9 if self._one_layer else 0.6
        distance = self._diameter * rng.uniform(nearest, 1.4)
        speed = self._diameter * rng.normal(0, 0.15)
        both = self._walk(row, column)
        condensed = rng.random() < 0.25
        made = []
        for side in (1, -1):
            step = (side * math.sin(direction), side * math.cos(direction))
            look, own = self._nucleus(), rng.normal(0, 0.3 * self._speed, 2)
            if condensed and self._cut_outs is not None:
                look = seen_condensed(rng, self._cut_outs, look)
            elif condensed:
                look = look._replace(a=0.6 * look.a, b=0.6 * look.b)
            velocity = (
                both.velocity[0] + speed / 2 * step[0] + own[0],
                both.velocity[1] + speed / 2 * step[1] + own[1],
            )
            # their distance is so in the last frame
            last = self._frames - 1
            walk = Walk(
                row + distance / 2 * step[0] - velocity[0] * last,
                column + distance / 2 * step[1] - velocity[1] * last,
                (float(velocity[0]), float(velocity[1])),
                spin=both.spin,
            )
            made.append(Resting(look, walk))
        return made

    def _dying(self, row: float, column: float) -> Dying:
        rng = self._rng
        pieces = tuple(
            (
                float(rng.uniform(0, 2 * math.pi)),
                float(rng.uniform(0.4, 1.3)),
                float(rng.uniform(0.12, 0.38)),
            )
            for _ in range(int(rng.integers(2, 8)))
        )
        lasting = log_uniform(rng, 1.0, 30.0)
        begun = rng.uniform(-lasting, self._frames)
        brighter = float(rng.uniform(1.0, 3.5))
        look, walk = self._nucleus(), self._walk(row, column, 0.3)
        return Dying(look, walk, float(begun), lasting, pieces, brighter)

    def _debris(self) -> Resting:
        rng = self._rng
        size = rng.uniform(0.04, 0.25) * self._diameter
        look = self._nucleus()._replace(
            a=max(0.8, size),
            b=max(0.8, size * rng.uniform(0.5, 1)),
            light=log_uniform(rng, 0.3, 5.0),
            dome=0.9,
            cut_out=-1,
        )
        row, column = rng.uniform(0, self._edge, 2)
        walk = self._walk(float(row), float(column), rng.choice([0.0, 3.0]))
        if rng.random() < 0.5:
            return Resting(look, walk)
        begun = float(rng.uniform(-1, self._frames))
        lasts = float(rng.uniform(0, 3))
        return Resting(look, walk, seen_from=begun, seen_to=begun + lasts, rise=0.3)

    def _dividing(self, row: float, column: float, when: When) -> Dividing:
        rng = self._rng
        look, walk = self._nucleus(), self._walk(row, column, 0.3)
        how = self._chromosomes(look)
        if self._cut_outs is not None:
            look, how = seen_dividing(rng, self._cut_outs, look, how)
        one = Dividing(
            look=look,
            walk=walk,
            chromosomes=how,
            onset=0.0,
            axis=float(rng.uniform(0, 2 * math.pi)),
            rounding=self._parting * rng.uniform(2, 8),
            plate=self._parting * log_uniform(rng, 4, 30),
            parting=self._parting,
            decondensing=self._parting * rng.uniform(3, 14),
            textures=(int(rng.integers(1 << 20)), int(rng.integers(1 << 20))),
        )
        return replace(one, onset=self._onset(one, when))

    def _onset(self, one: Dividing, when: When) -> float:
        """Draw when its anaphase begins."""
        rng, last = self._rng, self._frames - 1
        if when == "movie":
            return float(rng.uniform(-4 * one.parting, last + 0.3 * one.plate))
        if when == "now":
            # two are seen since the last frame, or one or a few before it
            share = one.gap_px(1.0) / one.chromosomes.apart_px
            hidden = -one.parting * math.log1p(-min(share, 0.9))
            return last - hidden - float(rng.uniform(0, max(2.0, one.parting)))
        if rng.random() < 0.5:
            # the plate is to be seen, or the rounding before it
            return last + float(rng.uniform(0, one.plate + one.rounding))
        return last - float(rng.uniform(0, self._frames + 8 * one.parting))

    def _chromosomes(self, look: Part) -> Chromosomes:
        rng = self._rng
        radius = math.sqrt(look.a * look.b)
        long = radius * rng.uniform(0.6, 0.95)
        thick = radius * rng.uniform(0.2, 0.42)
        # seen from aside, the plate is a line; more and more of it is seen from above
        tilt = min(abs(rng.normal(0, 0.4)), 0.9)
        thick_seen = math.hypot(thick * math.cos(tilt), 0.6 * long * math.sin(tilt))
        condensed = self._condensed * radius**2
        plate_light = float(np.clip(condensed / (long * thick_seen), 1.2, 5.0))
        bar_long = long * rng.uniform(0.7, 1.0)
        bar_thick = thick_seen * rng.uniform(0.55, 0.9)
        ratio = long * thick_seen / (2 * bar_long * bar_thick)
        bar_light = plate_light * float(np.clip(ratio, 0.5, 1.5)) * self._daughters
        round_px = radius * rng.uniform(0.6, 0.85)
        light = look.light
        return Chromosomes(
            round_px=round_px,
            round_light=light * rng.uniform(1.0, 0.5 + 0.5 * plate_light),
            plate=(long, max(0.8, thick_seen), light * plate_light),
            bar=(bar_long, max(0.7, bar_thick), light * bar_light),
            apart_px=2 * radius * rng.uniform(0.8, 1.7) * math.cos(tilt),
            rag=self._rag,
            hollow=rng.uniform(0.2, 0.8) if rng.random() < 0.3 else 0.0,
            bend=float(rng.uniform(-0.1, 0.35)),
            turn=float(rng.normal(0, 0.15 / max(1.0, self._parting))),
            twist=float(rng.normal(0, 0.4)),
            uneven=math.exp(rng.normal(0, 0.08)),
            between_light=self._between,
        )
