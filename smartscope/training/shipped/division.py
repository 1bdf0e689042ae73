"""The shipped detector ``division``: where a cell has just divided, of three frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smartscope.pairs import Pointed
from smartscope.training.divisions import (
    CutOuts,
    DivisionMovies,
    RealNuclei,
    draw_movie,
)
from smartscope.training.heat import HeatData, HeatWords, train_heat
from smartscope.training.labelled import Labelled, hashes, read_labelled
from smartscope.training.learning import Course
from smartscope.training.settings import HeatSettings, StarSettings
from smartscope.training.shipped.division_judged import (
    DRAWN_SEED,
    SIMULATED_SEEDS,
    check_recorded,
    judged_drawn,
    judged_recorded,
    judged_simulated,
)

FRAMES = 3
PIXEL_UM = 0.65

_DISTANCE_PX = 8.0
_WATCHED, _JUDGED, _EDGE_PX, _LENGTH = 60, 24, 192, 14
_WATCHING_SEED, _JUDGING_SEED = 9300, 9200
_SLACK = 2
_WATCHING = 0.2  # of the images of nuclei
_LIMITS = (
    "A chromatin label (H2B, DAPI, Hoechst) in fluorescence: nuclei brighter than "
    "their surroundings, in interphase 9 to 42 pixels of 0.65 µm across, and at least "
    "one frame in the time in which the two masses move apart or lie apart condensed. "
    "Frames are brought to 0.65 µm for it. The divisions that it was shown were drawn "
    "or simulated{}. It says where two masses have just become of one, in the "
    "newest frame or the one before it (longer, where frames follow each other fast); "
    "it knows nothing of what has happened before its three frames, of divisions along "
    "the optical axis, of phase contrast, and of labels that leave chromatin at "
    "anaphase."
)
_AMONG = "among nuclei"
_SEEN_AS = "; most of the drawn cells looked like real ones, caught in mitosis or not"
_USE = """## Use

```yaml
analysis:
  detect: {model: division}
  occurrences:
    division:
      kind: hotspot
      threshold: 0          # that of the detector holds
      frames: 1
      of: 4
      radius_um: 8
      refractory_s: 1800    # a cell does not divide again so soon
```

A division is a peak in one to a few windows; `hotspot` makes one occurrence of it."""


def make(
    out: Path,
    *,
    data: Path | None = None,
    nuclei: Path | None = None,
    minutes: float = 90.0,
    seed: int = 0,
    told: Callable[[Course], None] | None = None,
) -> dict[str, Any]:
    """Train it on drawn movies and judge it on others, in whole runs.

    Parameters
    ----------
    out : Path
        Folder of the training.
    data : Path, optional
        With ``mitocheck_movie.tif`` and ``mitosis_c1.tif`` and their truths, by which
        it is judged too; nothing is learned from them.
    nuclei : Path, optional
        With ``images`` and ``labels`` of nuclei: those rest among the drawn cells of
        nearly half of the movies, and cells look like those that are marked in them, if
        there are any. Without it all are drawn. A fifth of them chooses the threshold;
        the part that judges ``nuclei`` is left out.
    minutes : float
        Of training, at most.
    seed : int
        Of weights and movies.
    told : Callable, optional
        Called after each look at validation.

    Returns
    -------
    dict
        Recall, precision and delay on the simulated microscope at several exposures
        (``simulated``), on drawn movies (``drawn``), each with intervals, and with
        `data` on those (``recorded``).

    Raises
    ------
    smartscope.errors.Refused
        If a folder is not what it should be, or `data` lacks a movie.
    """
    if data is not None:
        check_recorded(data)
    real, others = ([], []) if nuclei is None else _labelled(nuclei)
    cut_outs = CutOuts.of(real)
    settings = HeatSettings(
        patch_px=96,
        batch=8,
        steps=42_000,
        minutes=minutes,
        every=200,
        patience=42_000,
        bfloat16=True,
        size="medium",
        seed=seed,
        spread_px=3.0,
        distance_px=_DISTANCE_PX,
        pixel_size_um=PIXEL_UM,
    )
    words = HeatWords(
        card={
            "description": "Where a cell has just divided: anaphase, in the newest of "
            "three frames of a chromatin label.",
            "classes": ["division"],
            "radius_um": 6.0,
            "min_distance_um": 5.0,
        },
        limits=f"{_LIMITS.format('' if cut_outs is None else _SEEN_AS)}\n\n{_USE}",
        measured=lambda package, threshold: _measured(package, threshold, data, others),
        told=told_of,
    )
    return train_heat(
        HeatData(
            DivisionMovies(FRAMES, RealNuclei.of(real), cut_outs),
            Path("drawn movies of dividing nuclei"),
            learned_from=hashes([*real, *others]),
            watching=drawn_movies(_WATCHING_SEED + seed, _WATCHED, others),
            judging=drawn_movies(_JUDGING_SEED, _JUDGED),
            judged_on="drawn test",
            images={
                "images of nuclei": len(real),
                "mitoses cut out of them": 0 if cut_outs is None else cut_outs.mitoses,
                "images of nuclei in movies that watch": len(others),
                "movies that watch": _WATCHED,
                "movies that judge": _JUDGED,
            },
        ),
        out,
        settings,
        words=words,
        name="division",
        authors=("smartscope",),
        license_id="BSD-3-Clause",
        told=told,
    ).figures


def _labelled(nuclei: Path) -> tuple[list[Labelled], list[Labelled]]:
    parts = read_labelled(nuclei, StarSettings(validation=_WATCHING))
    return parts["train"], parts["validation"]


def drawn_movies(
    seed: int, number: int, images: Sequence[Labelled] = ()
) -> list[Pointed]:
    """Draw movies in which cells divide at any time, from seeds no step draws.

    What has begun before the first window is complete, and is news yet, is to be found
    in that one.

    Parameters
    ----------
    seed, number : int
        Of all of them, and how many.
    images : sequence of Labelled
        Among whose nuclei all of them divide, seen as mitoses of these images; default:
        all is drawn.
    """
    made = []
    nuclei, cut_outs = RealNuclei.of(images), CutOuts.of(images)
    for i in range(number):
        rng = np.random.default_rng([seed, i])
        movie = draw_movie(
            rng, _EDGE_PX, _LENGTH, None, nuclei, cut_outs, only_real=bool(images)
        )
        first = FRAMES - 1
        seen = [
            (one, max(one.frame, first))
            for one in movie.divisions
            if one.until >= first
        ]
        points = np.array([(t, *one.places[t]) for one, t in seen], np.float64)
        points = points.reshape(-1, 3)
        inside = (points[:, 1:] >= 0) & (points[:, 1:] <= _EDGE_PX - 1)
        counts = np.clip(movie.frames, 0, 65_535).astype(np.uint16)
        looked = tuple(range(FRAMES - 1, _LENGTH))
        made.append(Pointed(f"{i}", counts, points[inside.all(axis=1)], looked, _SLACK))
    return made


def _measured(
    package: Path, threshold: float, data: Path | None, images: Sequence[Labelled]
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "simulated": judged_simulated(package, threshold),
        "drawn": judged_drawn(package, threshold),
    }
    if images:
        made[_AMONG] = judged_drawn(package, threshold, images=images)
    if data is not None:
        made["recorded"] = judged_recorded(package, threshold, data)
    return made


def told_of(figures: Mapping[str, Any]) -> str:
    """Return the figures of whole runs in words, Markdown.

    Parameters
    ----------
    figures : Mapping
        ``simulated``, ``drawn`` and, where it was judged by them, ``among nuclei`` and
        ``recorded``.
    """
    recorded = figures.get("recorded", {})
    drawn = {name: figures[name] for name in ("drawn", _AMONG) if name in figures}
    told = {**figures["simulated"], **drawn, **recorded}
    rows = "\n".join(_row(name, one) for name, one in told.items())
    real = (
        " Recorded: movies of real cells whose divisions were marked by eye; pixel "
        "size and interval are stand-ins (0.65 µm and 300 s, 0.09 µm and 10 s), and "
        "an onset may be 1 and 3 frames off. They are few: they show that it can work, "
        "not how often. Nothing was learned from them and no threshold chosen on them, "
        "but scores on them were looked at while the drawing of movies was worked out, "
        "and the cells of the HeLa movie compared with drawn ones."
    )
    among = (
        " Among nuclei: such in which cells divide among the nuclei of images and look "
        "like mitoses in them. Nothing was learned from these images, but the "
        "threshold was chosen on other movies of them."
    )
    first, last = SIMULATED_SEEDS[0], SIMULATED_SEEDS[-1]
    return (
        "Whole runs in virtual time, on specimens and movies never seen before; one "
        "occurrence for each division, intervals of 95 % (Clopper and Pearson), delay "
        "from the true onset of anaphase to when it was told, frames:\n\n"
        "| run | divisions in view | told | false | recall | precision | delay, "
        f"median and most |\n|---|---|---|---|---|---|---|\n{rows}\n\n"
        f"The simulated microscope (seeds {first} to {last}, two fields once a minute, "
        "cells that divide, die and land) at three exposures at full power: 10 ms are "
        "a signal-to-noise ratio of about 40, 0.8 ms of 6, 0.4 ms of 3. Drawn: movies "
        f"of 18 frames (seed {DRAWN_SEED}) of the same kind as those it was trained "
        "on, in which sizes, intervals, light and camera differ from movie to movie."
        + (among if _AMONG in figures else "")
        + (real if recorded else "")
    )


def _row(name: str, one: Mapping[str, Any]) -> str:
    def share(key: str) -> str:
        low, high = one[f"{key}_interval"]
        value = one[key]
        return (
            f"{'–' if value is None else format(value, '.3f')} ({low:.3f}–{high:.3f})"
        )

    delay = one["delay_frames"]
    late = (
        "–" if delay["median"] is None else f"{delay['median']:.1f}, {delay['max']:.1f}"
    )
    return (
        f"| {name} | {one['events']} | {one['caught']} | {one['false']} | "
        f"{share('recall')} | {share('precision')} | {late} |"
    )
