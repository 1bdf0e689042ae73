"""Detections of one place become tracks.

It alone knows which detection continues which track and how much light each track got.
Matching is done in stage µm: a field that moves with a followed cell changes nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import Frame
from smartscope.recognition.detections import Detections
from smartscope.recognition.field_of_view import FieldOfView
from smartscope.recognition.life import Life, Seen
from smartscope.recognition.scene import Scene
from smartscope.recognition.settings import TrackSettings
from smartscope.recognition.shapes import Pair, measure_shapes
from smartscope.recognition.track import Track

FORGOTTEN_AFTER = 100  # frames of its place that do not show a track's spot
_REMEMBERED_LOST = 10  # frames for which a lost track explains a new one beside it


@dataclass(frozen=True, slots=True, eq=False)
class Tracking:
    """What one frame did to the tracks of its place.

    Attributes
    ----------
    field_of_view : FieldOfView
        What the frame shows.
    lives : Mapping[int, Life]
        Tracks alive after the frame, by id.
    track_ids : np.ndarray
        Shape ``(n,)``, int64: the track of each detection.
    born : tuple of int
        Tracks that began with this frame.
    ended : tuple of Life
        Tracks that were missed once too often.
    forgotten : tuple of int
        Tracks given up because the field has been elsewhere for 100 frames.
    scene : Scene or None
        What the frame shows as a whole.
    """

    frame_id: int
    time_s: float
    place: str
    field_of_view: FieldOfView
    lives: Mapping[int, Life]
    track_ids: npt.NDArray[np.int64]
    born: tuple[int, ...] = ()
    ended: tuple[Life, ...] = ()
    forgotten: tuple[int, ...] = ()
    scene: Scene | None = None


@dataclass(slots=True, eq=False)
class _Place:
    lives: dict[int, Life] = field(default_factory=dict)
    lost: deque[tuple[int, Life]] = field(default_factory=lambda: deque(maxlen=256))
    frames: int = 0
    account: float | None = None
    time_s: float | None = None
    camera: str = ""
    field_of_view: FieldOfView | None = None


# a thing nearer to the edge than this many of its radii may be cut off by it
_WHOLE_RADII = 1.5


class Tracker:
    """Tracks of all places of a run.

    Detections continue the tracks so that the sum of ``distance ** 1.5`` from where
    each is expected is least; a pair farther apart than ``max_distance_um`` is none.
    One that goes straight is expected ahead of where it was. The power lies between 1,
    which cannot tell two things moving in file from one overtaking the other, and 2,
    which moves a whole row of things up to explain one that vanished.

    A track outside the field of the frame is kept, unseen, and not counted as missed;
    it is forgotten after 100 such frames. A track is charged with what its place's
    account has grown by since the last analysed frame, so that bursts and frames that
    were not analysed count too, and once for all cameras of an exposure. Daughters
    inherit the light of their mother.

    Parameters
    ----------
    settings : TrackSettings
        Gate and patience.
    measured : collection of str
        What is measured of things besides: of elongation, solidity, texture.
    """

    def __init__(
        self, settings: TrackSettings | None = None, measured: Collection[str] = ()
    ) -> None:
        self.settings = settings or TrackSettings()
        self._measured = frozenset(measured)
        self._places: dict[str, _Place] = {}
        self._next_id = 0

    @property
    def next_id(self) -> int:
        """The first track id not given yet."""
        return self._next_id

    def update(
        self, frame: Frame, detections: Detections, pair: Pair | None = None
    ) -> Tracking:
        """Continue the tracks of the frame's place by its detections.

        Parameters
        ----------
        frame : Frame
            With its raw pixels.
        detections : Detections
            Things in it.
        pair : Pair, optional
            Two channels of its visit, whose ratio is measured.
        """
        place = self._places.setdefault(frame.place, _Place())
        seen_now = FieldOfView.of(frame)
        lives = list(place.lives.values())
        spots = np.array([life.last[2:4] for life in lives]).reshape(-1, 2)
        covered = seen_now.edge_um(spots) > 0 if lives else np.zeros(0, bool)
        sightings = self._sightings(frame, detections, pair)

        expected = [life.expected_um(frame.time_s) for life in lives]
        old, rows = _match(
            spots,
            np.array(expected).reshape(-1, 2),
            detections.centers_um,
            self.settings.max_distance_um,
        )
        charge = self._charge(place, frame)
        track_ids = np.full(len(detections), -1, np.int64)
        matched = dict(zip(old.tolist(), rows.tolist(), strict=True))
        ended, forgotten = [], []
        for i, life in enumerate(lives):
            row = matched.get(i)
            if row is not None:
                life.see(sightings[row], row)
                track_ids[row] = life.track_id
            elif covered[i]:
                life.miss(frame.frame_id, frame.time_s)
            else:
                life.unseen += 1
                life.row = -1
            if row is not None or covered[i]:
                life.light_ms_percent += charge
            if life.missed > self.settings.max_missed:
                ended.append(life)
                place.lost.append((place.frames, life))
                del place.lives[life.track_id]
            elif life.unseen > FORGOTTEN_AFTER:
                forgotten.append(life.track_id)
                del place.lives[life.track_id]

        while place.lost and place.frames - place.lost[0][0] > _REMEMBERED_LOST:
            place.lost.popleft()
        born = self._births(place, frame, sightings, track_ids)
        place.frames += 1
        place.account = frame.light_ms_percent
        place.time_s, place.camera = frame.time_s, frame.camera
        place.field_of_view = seen_now
        return Tracking(
            frame_id=frame.frame_id,
            time_s=frame.time_s,
            place=frame.place,
            field_of_view=seen_now,
            lives=place.lives,
            track_ids=track_ids,
            born=born,
            ended=tuple(ended),
            forgotten=tuple(forgotten),
            scene=Scene(frame, detections),
        )

    def divide(
        self, tracking: Tracking, mother: Life, one: Life, other: Life
    ) -> tuple[Life, Life]:
        """End a mother's track and make two of this frame's tracks her daughters.

        Parameters
        ----------
        tracking : Tracking
            Of the present frame; its ``track_ids`` are kept right.
        mother : Life
            Alive, or just lost.
        one, other : Life
            Tracks seen in this frame; ``one`` may be the mother's own, going on at one
            of the daughters: that daughter then gets a track of her own.

        Returns
        -------
        tuple of Life
            The daughters, in the order given.
        """
        place = self._places[tracking.place]
        place.lives.pop(mother.track_id, None)
        kept = [pair for pair in place.lost if pair[1] is not mother]
        place.lost = deque(kept, maxlen=place.lost.maxlen)
        if one is mother:
            one = Life.born(self._new_id(), mother.place, mother.last, mother.row, 0.0)
            place.lives[one.track_id] = one
            tracking.track_ids[one.row] = one.track_id
        for daughter in (one, other):
            daughter.parent_id = mother.track_id
            daughter.light_ms_percent = max(
                daughter.light_ms_percent, mother.light_ms_percent
            )
        return one, other

    def tracks(self, place: str) -> dict[int, Track]:
        """Return snapshots of the tracks alive at a place, by id."""
        lives = self._places[place].lives if place in self._places else {}
        return {track_id: life.track() for track_id, life in lives.items()}

    def charge(self, track_id: int, light_ms_percent: float) -> None:
        """Charge a track, if it is alive, with light that its place does not tell."""
        for place in self._places.values():
            if (life := place.lives.get(track_id)) is not None:
                life.light_ms_percent += light_ms_percent

    def seed(
        self, tracks: Iterable[Track], next_id: int, accounts: Mapping[str, float]
    ) -> None:
        """Start from tracks and light accounts of an earlier process.

        Parameters
        ----------
        tracks : iterable of Track
            Alive when it ended.
        next_id : int
            The first id that was never given.
        accounts : Mapping[str, float]
            Light account of each place at its last analysed frame, ms × %.
        """
        self._places.clear()
        for name, account in accounts.items():
            self._places[name] = _Place(account=account)
        for track in tracks:
            place = self._places.setdefault(track.place, _Place())
            place.lives[track.track_id] = Life.resumed(track)
        self._next_id = next_id

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _sightings(
        self, frame: Frame, detections: Detections, pair: Pair | None
    ) -> list[Seen]:
        light = frame.state.exposure_ms * frame.state.power_percent / 100.0
        # without light there is nothing to compare: no level, no baseline
        levels = detections.intensity / (light if light > 0 else math.nan)
        edge_um = FieldOfView.of(frame).edge_um(detections.centers_um)
        radius_um = np.sqrt(detections.area_px / math.pi) * frame.state.pixel_size_um
        whole = edge_um > _WHOLE_RADII * radius_um
        area_um2 = detections.area_px.astype(float) * frame.state.pixel_size_um**2
        names = detections.class_names
        seen = [
            Seen(frame.frame_id, frame.time_s, x, y, float(level), *rest)
            for (x, y), level, *rest in zip(
                detections.centers_um.tolist(),
                levels,
                whole.tolist(),
                area_um2.tolist(),
                detections.score.tolist(),
                [names[i] if 0 <= i < len(names) else str(i) for i in _ids(detections)],
                strict=True,
            )
        ]
        if not self._measured and pair is None:
            return seen
        shapes = measure_shapes(frame.pixels, detections, self._measured, pair)
        return [
            one._replace(elongation=a, solidity=b, texture=c, ratio=d)
            for one, a, b, c, d in zip(
                seen,
                shapes.elongation.tolist(),
                shapes.solidity.tolist(),
                shapes.texture.tolist(),
                shapes.ratio.tolist(),
                strict=True,
            )
        ]

    @staticmethod
    def _charge(place: _Place, frame: Frame) -> float:
        own = frame.state.light_ms_percent
        if place.account is None:
            return own
        if frame.time_s == place.time_s and frame.camera != place.camera:
            own = 0.0  # another camera's frame of the exposure that was charged
        return max(own, frame.light_ms_percent - place.account)

    def _births(
        self,
        place: _Place,
        frame: Frame,
        sightings: list[Seen],
        track_ids: npt.NDArray[np.int64],
    ) -> tuple[int, ...]:
        rows = np.flatnonzero(track_ids < 0)
        if not len(rows):
            return ()
        spots = np.array([sightings[row][2:4] for row in rows])
        before = place.field_of_view
        visible = before.edge_um(spots) > 0 if before else np.zeros(len(rows), bool)
        lost = np.array([life.last[2:4] for _, life in place.lost]).reshape(-1, 2)
        for row, spot, was_visible in zip(rows.tolist(), spots, visible, strict=True):
            life = Life.born(
                self._new_id(),
                frame.place,
                sightings[row],
                row,
                frame.state.light_ms_percent,
            )
            life.was_visible = bool(was_visible)
            if len(lost):
                life.lost_near_um = float(np.hypot(*(lost - spot).T).min())
            place.lives[life.track_id] = life
            track_ids[row] = life.track_id
        return tuple(track_ids[rows].tolist())


def _ids(detections: Detections) -> list[int]:
    ids: list[int] = detections.class_id.tolist()
    return ids


def _match(
    spots: npt.NDArray[np.float64],
    expected: npt.NDArray[np.float64],
    centers: npt.NDArray[np.float64],
    gate_um: float,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Pair points ``(n, 2)`` with points ``(m, 2)``; both index arrays are parallel.

    ``expected`` is where those of ``spots``, from which the gate counts, should be now.
    """
    nothing = np.zeros(0, np.intp)
    if not len(spots) or not len(centers):
        return nothing, nothing
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    far = cdist(spots, centers)
    if not (far <= gate_um).any():
        return nothing, nothing
    cost = np.where(
        far <= gate_um, np.minimum(cdist(expected, centers), gate_um), gate_um
    )
    rows, columns = linear_sum_assignment(cost**1.5)
    near = far[rows, columns] <= gate_um
    return rows[near], columns[near]
