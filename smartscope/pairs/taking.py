"""``smartscope pairs``: takes them on the microscope and writes what may be learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from smartscope.errors import BrokenOff, Refused
from smartscope.loop import Progress
from smartscope.loop import run as run_experiment
from smartscope.pairs.assembly import (
    Assembled,
    Place,
    assemble,
    brightness_of,
    clean_of,
    noisy_of,
    write_image,
)
from smartscope.pairs.example import SPLITS, Split, pixels_sha256
from smartscope.pairs.folder import PairFolder
from smartscope.pairs.manifest import MANIFEST, Manifest, TakenPair
from smartscope.pairs.split import groups_of, split_places
from smartscope.pairs.survey import Plan, pairs_experiment
from smartscope.settings import Experiment, PairsSettings
from smartscope.storage import Run

RUN = "run"
_ENOUGH = 3  # places that are parted, if they can be


@dataclass(frozen=True)
class Taken:
    """What was taken.

    Attributes
    ----------
    folder : Path
        Of the pairs.
    manifest : Manifest
        All that is known of them.
    exit_code : int
        Of the run: 0 well, 130 stopped by the user, 4 broken off; what is there can be
        used. 3 if no place can be.
    """

    folder: Path
    manifest: Manifest
    exit_code: int


def take_pairs(
    experiment: Experiment,
    out: str | Path,
    *,
    microscope: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Taken:
    """Take what ``experiment.pairs`` asks for at each place of the survey, once.

    It is a run like any other: checked before, within the limits and the light budget,
    every frame stored in ``run`` before anything is made of it; nobody looks at the
    frames meanwhile.

    Parameters
    ----------
    experiment : Experiment
        Its survey gives places, channel and grid; its policies do nothing.
    out : path
        Folder of the pairs; must not exist.
    microscope : str, optional
        Instead of the experiment's.
    progress : Callable, optional
        As of ``smartscope.run``.

    Raises
    ------
    smartscope.errors.Refused
        If anything is wrong that can be known before; nothing has moved.
    smartscope.errors.BrokenOff
        If the pairs cannot be written; the run is kept.
    """
    out = Path(out)
    if out.exists():
        raise Refused(
            f"The output folder {out} exists.",
            rule="Pairs are written into a new folder; none is overwritten.",
            way_out="Name another with --out, or move this one away.",
        )
    if microscope is not None:
        experiment = experiment.model_copy(update={"microscope": microscope})
    plan = Plan.of(experiment)
    made = pairs_experiment(experiment, plan)
    result = run_experiment(made, out / RUN, progress=progress, analyse=False)
    run = Run.open(result.folder)
    wanted = experiment.pairs
    assembled = assemble(run, plan, max_shift_px=wanted.max_shift_px)
    try:
        manifest = _write(out, run, plan, assembled, experiment)
    except OSError as e:
        raise BrokenOff(
            f"The pairs cannot be written to {out}: {e.strerror or e}.",
            way_out="Free or mend the disk and take them again.",
            state=f"The frames are kept in {result.folder}.",
        ) from e
    # a run that went well and gave nothing to learn from did not do what was asked
    degraded = 3 if result.exit_code == 0 and not assembled.used else 0
    return Taken(out, manifest, result.exit_code or degraded)


def _write(
    out: Path, run: Run, plan: Plan, assembled: Assembled, experiment: Experiment
) -> Manifest:
    wanted, first = experiment.pairs, run.frames[0] if run.frames else None
    pixel_um = float(first["state"]["pixel_size_um"]) if first else 1.0
    rows, columns = first["shape"] if first else (1, 1)
    used = assembled.used
    groups = groups_of(
        {p.name: p.centre_um for p in used}, (columns * pixel_um, rows * pixel_um)
    )
    splits = split_places(
        groups, seed=experiment.seed, validation=wanted.validation, test=wanted.test
    )
    pairs = [
        _write_place(out, place, run, plan, assembled, groups, splits, pixel_um)
        for place in assembled.places
    ]
    exposures = {role: _light(used, plan, role) for role in ("low", "high")}
    manifest = Manifest(
        made=datetime.now().astimezone().isoformat("T", "seconds"),
        experiment=experiment.model_dump(mode="json"),
        microscope=str((run.record.get("microscope") or {}).get("name", "")),
        objective=str(first["state"].get("objective", "")) if first else "",
        channel=plan.channel,
        pixel_size_um=pixel_um,
        method=wanted.method,
        low=exposures["low"] or {},
        high=exposures["high"],
        offset=assembled.offset,
        bleaching=_bleaching(assembled),
        seed=experiment.seed,
        run=RUN,
        says=tuple(_says(pairs, assembled, wanted)),
        pairs=tuple(pairs),
    )
    text = manifest.model_dump_json(indent=1) + "\n"
    (out / MANIFEST).write_text(text, encoding="utf-8")
    PairFolder.open(out).check_no_leak()
    return manifest


def _write_place(
    out: Path,
    place: Place,
    run: Run,
    plan: Plan,
    assembled: Assembled,
    groups: dict[str, str],
    splits: dict[str, Split],
    pixel_um: float,
) -> TakenPair:
    x_um, y_um = place.centre_um
    shift = place.shift
    known = {
        "name": place.name,
        "x_um": x_um,
        "y_um": y_um,
        "shift_px": None if shift is None else (shift.rows, shift.columns),
        "shift_known": shift is None or shift.known,
        "saturated_share": place.saturated,
        "frames": tuple(int(h["frame_id"]) for h in place.headers),
    }
    if place.left_out:
        return TakenPair.model_validate(
            {**known, "split": None, "left_out": place.left_out}
        )
    notes = {"place": place.name, "channel": plan.channel, "see": MANIFEST}
    noisy_path, clean_path = f"noisy/{place.name}.ome.zarr", None
    noisy = noisy_of(place, run, plan)
    write_image(out / noisy_path, noisy, pixel_um, {**notes, "what": "raw counts"})
    if "high" in plan.roles:
        clean_path = f"clean/{place.name}.ome.zarr"
        what = "mean of high frames in counts of the first noisy one"
        clean = clean_of(place, run, plan, assembled)
        write_image(out / clean_path, clean, pixel_um, {**notes, "what": what})
    return TakenPair.model_validate(
        {
            **known,
            "group": groups[place.name],
            "split": splits[place.name],
            "noisy": noisy_path,
            "sha256": pixels_sha256(noisy),
            "clean": clean_path,
            "brightness": brightness_of(place, plan, assembled.bleaching),
        }
    )


def _light(used: list[Place], plan: Plan, role: str) -> dict[str, float] | None:
    """Return exposure and power of a role as they were read back."""
    if role not in plan.roles or not used:
        return None
    which = used[0].of(plan, role)
    state = used[0].headers[which[0]]["state"]
    return {
        "exposure_ms": float(state["exposure_ms"]),
        "power_percent": float(state["power_percent"]),
        "frames": float(len(which)),
    }


def _bleaching(assembled: Assembled) -> dict[str, Any]:
    found = assembled.bleaching
    return {
        "rate_per_ms_percent": found.rate,
        "measured": found.measured if found.known else None,
        "standard_error": found.error if found.known else None,
        "light_over_a_place": found.span,
        "high_over_low": found.linearity,
    }


def _says(
    pairs: list[TakenPair], assembled: Assembled, wanted: PairsSettings
) -> list[str]:
    """Return what was taken and what is wrong with it, in sentences."""
    n = {split: sum(p.split == split for p in pairs) for split in SPLITS}
    used = sum(n.values())
    said = [
        f"{used} of {len(pairs)} places can be used: {n['train']} to train, "
        f"{n['validation']} to validate, {n['test']} to test."
    ]
    if wanted.test > 0 and used >= _ENOUGH and not n["test"]:
        said.append(
            "No place is left to judge a model on: their fields overlap. Set them at "
            "least a field apart."
        )
    left = [f"{p.name} ({p.left_out})" for p in pairs if p.left_out]
    if left:
        more = f" and {len(left) - 5} more" if len(left) > 5 else ""
        said.append(f"Left out: {', '.join(left[:5])}{more}.")
    shifts = [p.shift for p in assembled.used if p.shift is not None]
    if shifts:
        px = sorted(shift.px for shift in shifts)
        said.append(
            f"The clean images lie on the noisy ones within {px[-1]:.2f} pixels "
            f"(median {px[len(px) // 2]:.2f})."
        )
    if used:
        said.append(assembled.bleaching.says())
    over = assembled.bleaching.linearity
    if wanted.method == "pairs" and assembled.used and abs(over - 1) > 0.05:
        said.append(
            f"High frames are {over:.2f} times as bright as their light says: light or "
            "camera are not linear, or there is stray light."
        )
    return said
