"""What nuclei do in a movie: rest, divide, die, come into view.

Times are in frames of the movie, lengths in pixels. Each life says of what parts it is
seen at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

from smartscope.simulation.nucleus import between, ease
from smartscope.training.divisions.part import Part


class Life(Protocol):
    """One thing, or a few that belong together, over the whole movie."""

    @property
    def look(self) -> Part:
        """As which it is seen while it rests."""

    @property
    def walk(self) -> Walk:
        """Where it is."""

    def parts(self, frame: int) -> list[Part]:
        """Return what is seen of it in a frame."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Where something goes: straight on, and to and fro.

    Attributes
    ----------
    row, column : float
        At frame 0.
    velocity : tuple of float
        Rows and columns in a frame.
    spin : float
        Radians in a frame.
    sway : float
        Pixels to and fro.
    phase : float
        Of the swaying.
    """

    row: float
    column: float
    velocity: tuple[float, float] = (0.0, 0.0)
    spin: float = 0.0
    sway: float = 0.0
    phase: float = 0.0

    def at(self, t: float) -> tuple[float, float]:
        """Return row and column at a time."""
        sway = self.sway * math.sin(1.3 * t + self.phase)
        turned = self.sway * math.cos(1.7 * t + 2 * self.phase)
        return (
            self.row + self.velocity[0] * t + sway,
            self.column + self.velocity[1] * t + turned,
        )


@dataclass(frozen=True, slots=True)
class Resting:
    """A nucleus in interphase, of one part or of several; or something like it.

    Attributes
    ----------
    look : Part
        As which it is seen, but for its place.
    walk : Walk
        Where it is.
    lobes : tuple
        Of each further part its place along both axes of the first, and its size, in
        sizes of the first.
    seen_from, seen_to : float
        When it comes into view and goes, frames.
    rise : float
        How long that takes.
    """

    look: Part
    walk: Walk
    lobes: tuple[tuple[float, float, float], ...] = ()
    seen_from: float = -math.inf
    seen_to: float = math.inf
    rise: float = 1.0

    def parts(self, frame: int) -> list[Part]:
        """Return what is seen of it in a frame."""
        seen = ease((frame - self.seen_from) / self.rise + 1)
        seen *= ease((self.seen_to - frame) / self.rise + 1)
        if not seen:
            return []
        look, (row, column) = self.look, self.walk.at(frame)
        angle = look.angle + self.walk.spin * frame
        body = look._replace(
            frame=frame, row=row, column=column, angle=angle, light=look.light * seen
        )
        made = [body]
        cos, sin = math.cos(angle), math.sin(angle)
        for number, (along, across, size) in enumerate(self.lobes, 1):
            dx = along * look.a * cos - across * look.b * sin
            dy = along * look.a * sin + across * look.b * cos
            made.append(
                body._replace(
                    row=row + dy,
                    column=column + dx,
                    a=max(1.0, look.a * size),
                    b=max(1.0, look.b * size),
                    angle=angle + number,
                    texture=look.texture + number,
                )
            )
        return made


@dataclass(frozen=True, slots=True)
class Chromosomes:
    """How chromosomes look and move in one mitosis, pixels.

    Attributes
    ----------
    round_px, round_light : float
        Radius and light of the rounded mass before the plate.
    plate : tuple of float
        Half length, half thickness and light of the plate.
    bar : tuple of float
        The same of each of the two masses after anaphase onset.
    apart_px : float
        How far their middles are from each other in the end, as it is seen.
    rag, hollow, bend : float
        See ``Part``; of condensed chromosomes.
    turn : float
        Radians in a frame that the plate turns.
    twist : float
        Radians that the masses turn against each other in the end.
    uneven : float
        How much larger one mass is than the other.
    between_light : float
        Of what stays between them: bridges, laggards, labels of the midzone.
    cut_outs : tuple of int
        As which masses of images it is seen, see ``CutOuts``: rounded, as a plate, and
        both after it.
    """

    round_px: float
    round_light: float
    plate: tuple[float, float, float]
    bar: tuple[float, float, float]
    apart_px: float
    rag: float = 0.1
    hollow: float = 0.0
    bend: float = 0.2
    turn: float = 0.0
    twist: float = 0.0
    uneven: float = 1.0
    between_light: float = 0.0
    cut_outs: tuple[int, int, int, int] = (-1, -1, -1, -1)


@dataclass(frozen=True, slots=True)
class Dividing:
    """A cell that rounds up, forms a plate, divides, and whose daughters decondense.

    Attributes
    ----------
    look : Part
        Its nucleus in interphase.
    walk : Walk
        Where it is.
    chromosomes : Chromosomes
        How its mitosis looks.
    onset : float
        When anaphase begins, frames.
    axis : float
        Direction in which the masses part.
    rounding, plate, parting, decondensing : float
        How long each takes, frames; of ``parting`` 1/e is left then.
    """

    look: Part
    walk: Walk
    chromosomes: Chromosomes
    onset: float
    axis: float
    rounding: float
    plate: float
    parting: float
    decondensing: float
    textures: tuple[int, int] = field(default=(1, 2))

    def apart_px(self, t: float) -> float:
        """Return how far the two masses are from each other at a time."""
        age = t - self.onset
        if age <= 0:
            return 0.0
        return self.chromosomes.apart_px * -math.expm1(-age / self.parting)

    def gap_px(self, blur_px: float) -> float:
        """Return how far they must be for two to be seen."""
        return 1.8 * self.chromosomes.bar[1] + 1.2 * blur_px

    def parts(self, frame: int) -> list[Part]:
        """Return what is seen of it in a frame."""
        row, column = self.walk.at(frame)
        look = self.look._replace(frame=frame, row=row, column=column)
        age = frame - self.onset
        if age > 0:
            return self._parting(look, age)
        return [self._mother(look, age)]

    def _mother(self, look: Part, age: float) -> Part:
        how = self.chromosomes
        rounded = ease((age + self.plate + self.rounding) / self.rounding)
        plate = ease((age + self.plate) / (0.4 * self.plate) + 0.2)
        a = between(between(look.a, how.round_px, rounded), how.plate[0], plate)
        b = between(between(look.b, how.round_px, rounded), how.plate[1], plate)
        light = between(look.light, how.round_light, rounded)
        across = self.axis + math.pi / 2 + how.turn * age
        cut_out = look.cut_out
        if rounded > 0.5:
            cut_out = how.cut_outs[1 if plate > 0.5 else 0]
        return look._replace(
            cut_out=cut_out,
            a=a,
            b=b,
            angle=across if rounded > 0.5 else look.angle,
            light=between(light, how.plate[2], plate),
            bend=between(look.bend, 0.0, rounded),
            rag=between(look.rag, how.rag, rounded),
            hollow=how.hollow * rounded * (1 - plate),
            grain=between(look.grain, 2 * look.grain, rounded),
        )

    def _parting(self, look: Part, age: float) -> list[Part]:
        how = self.chromosomes
        apart = self.apart_px(self.onset + age)
        bars = ease(apart / (2 * how.plate[1]))
        loose = ease((age - 2.5 * self.parting) / self.decondensing)
        a = between(between(how.plate[0], how.bar[0], bars), 0.72 * look.a, loose)
        b = between(between(0.6 * how.plate[1], how.bar[1], bars), 0.72 * look.b, loose)
        # two halves lie on each other at first
        light = between(
            between(0.6 * how.plate[2], how.bar[2], bars), look.light, loose
        )
        made = []
        sides = zip((1, -1), self.textures, how.cut_outs[2:], strict=True)
        for side, texture, cut_out in sides:
            size = how.uneven**side
            turned = side * how.twist * ease(age / (4 * self.parting))
            made.append(
                look._replace(
                    row=look.row + side * apart / 2 * math.sin(self.axis),
                    column=look.column + side * apart / 2 * math.cos(self.axis),
                    a=max(0.7, a * size),
                    b=max(0.7, b * size),
                    angle=self.axis + math.pi / 2 + turned,
                    light=light,
                    # the arms of the chromosomes trail behind
                    bend=between(-side * how.bend * bars, look.bend, loose),
                    rag=between(how.rag, look.rag, loose),
                    grain=look.grain,
                    texture=texture,
                    cut_out=cut_out if loose < 0.5 else look.cut_out,
                )
            )
        left = how.between_light * light * bars * (1 - ease(age / (10 * self.parting)))
        if left > 0:
            for place in (-0.5, 0.1, 0.6):
                away = place * how.plate[0]
                made.append(
                    look._replace(
                        row=look.row + away * math.cos(self.axis),
                        column=look.column - away * math.sin(self.axis),
                        a=max(1.0, 0.35 * apart),
                        b=max(0.8, 0.15 * how.plate[0]),
                        angle=self.axis,
                        light=left,
                        rag=how.rag,
                        cut_out=-1,
                    )
                )
        return made


@dataclass(frozen=True, slots=True)
class Dying:
    """A nucleus that shrinks, condenses and falls into pieces.

    Attributes
    ----------
    look : Part
        While it lived.
    walk : Walk
        Where it is.
    onset, lasting : float
        When it begins and how long it takes, frames.
    pieces : tuple
        Of each its direction, how far it goes, and its size, in radii.
    brighter : float
        How much, when it is condensed.
    """

    look: Part
    walk: Walk
    onset: float
    lasting: float
    pieces: tuple[tuple[float, float, float], ...]
    brighter: float

    def parts(self, frame: int) -> list[Part]:
        """Return what is seen of it in a frame."""
        phase = (frame - self.onset) / self.lasting
        row, column = self.walk.at(frame)
        radius = math.sqrt(self.look.a * self.look.b)
        shrunk, broken = ease(phase / 0.35), ease((phase - 0.3) / 0.25)
        light = self.look.light * between(1.0, self.brighter, shrunk)
        light *= 1 - 0.9 * ease((phase - 0.55) / 0.5)
        body = self.look._replace(
            frame=frame,
            row=row,
            column=column,
            a=between(self.look.a, 0.55 * radius, shrunk),
            b=between(self.look.b, 0.5 * radius, shrunk),
            light=light * (1 - 0.4 * broken),
            rag=between(self.look.rag, 0.15, shrunk),
        )
        if not broken:
            return [body]
        made = [body]
        spread = between(0.4, 1.0, ease((phase - 0.3) / 0.5))
        for direction, far, size in self.pieces:
            made.append(
                body._replace(
                    row=row + spread * far * radius * math.sin(direction),
                    column=column + spread * far * radius * math.cos(direction),
                    a=max(0.8, size * radius * broken),
                    b=max(0.8, 0.9 * size * radius * broken),
                    light=light,
                )
            )
        return made
