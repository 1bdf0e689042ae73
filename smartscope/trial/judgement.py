"""``smartscope validate``: a model, truths, a verdict with its reasons."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from smartscope.errors import BrokenOff, Refused
from smartscope.inference import ModelPackage
from smartscope.loop import Progress
from smartscope.pairs import Split, take_pairs
from smartscope.settings import Experiment
from smartscope.trial.restorer import Restorer
from smartscope.trial.trying import Trial, tried
from smartscope.validation import ModelVerdict, store_verdict

REPORT, PICTURE = "report.json", "report.png"


@dataclass(frozen=True)
class Judgement:
    """What was found out about a model.

    Attributes
    ----------
    passed : bool
        Whether it is good for these truths.
    says : str
        In a sentence, with intervals.
    folder : Path
        With report and pictures.
    told : dict
        The whole report.
    kept : Path or None
        Where the verdict is kept for runs to find; None if no microscope is known.
    """

    passed: bool
    says: str
    folder: Path
    told: dict[str, Any]
    kept: Path | None = None


def validate(
    model: str,
    data: str | Path,
    out: str | Path | None = None,
    *,
    microscope: str | None = None,
    split: Split | Literal["all"] = "test",
    pixel_size_um: float | None = None,
    within_px: float | None = None,
    at_least: float = 0.7,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Judgement:
    """Judge a model on a folder of truths; write a report and keep the verdict.

    Parameters
    ----------
    model : str
        Name of a shipped model, or path of a package or an ``.onnx`` file.
    data : path
        Pairs of noisy and clean images, of images and labels, of images and points, or
        of movies and events.
    out : path, optional
        Folder of the report, must not exist; default: ``validations/TIME_MODEL``.
    microscope : str, optional
        On which the truths were taken; default: what their folder says.
    split : {"train", "validation", "test", "all"}
        Which part is judged, where the folder is split. Of one that is not split
        "test" is what the model has not learned from, and "all" is all.
    pixel_size_um : float, optional
        Of the images; default: what their folder says, else the model's.
    within_px : float, optional
        What is found at most so far from a point is that point; default: what it was in
        the training, else ``WITHIN_PX``.
    at_least : float
        F1 that a detecting model must reach to pass.
    seed : int
        Of the bootstrap.
    progress : Callable, optional
        Told the name of each example before it is judged.

    Raises
    ------
    smartscope.errors.Refused
        If model or truths are not what they should be.
    smartscope.errors.BrokenOff
        If the report cannot be written.
    """
    package = ModelPackage.load(model)
    path = Path(data)
    folder = _new_folder(out, package.name)
    trial = Trial(
        model, package, split, pixel_size_um, within_px, at_least, seed, progress
    )
    made = tried(path, trial)
    told, manifest = made.told, made.manifest
    microscope = microscope or (manifest.microscope if manifest else "")
    report: dict[str, Any] = {
        "format": 1,
        "made": datetime.now().astimezone().isoformat("T", "seconds"),
        "smartscope": version("smartscope"),
        "model": package.name,
        "path": str(package.source),
        "sha256": package.sha256,
        "described_sha256": package.described_sha256,
        "role": made.role,
        "microscope": microscope,
        "data": str(path.resolve()),
        "data_sha256": _over(made.sha256),
        "split": split if made.split_up else None,
        "left_out": list(made.left_out),
        "seed": seed,
        **told,
        "examples": [
            {"name": e.name, "position": e.position, **e.figures} for e in made.judged
        ],
    }
    if manifest is not None:
        report["pairs"] = manifest.model_dump(
            mode="json", exclude={"pairs", "experiment"}
        )
    try:
        folder.mkdir(parents=True)
        text = json.dumps(_finite(report), indent=1, ensure_ascii=False)
        (folder / REPORT).write_text(text + "\n", encoding="utf-8")
        made.draw(folder / PICTURE)
        kept = _keep(report, told, folder) if microscope else None
    except OSError as e:
        raise BrokenOff(
            f"The report cannot be written to {folder}: {e.strerror or e}.",
            way_out="Free or mend the disk, or name another folder with --out.",
            state=f"The verdict was: {told['says']}",
        ) from e
    return Judgement(bool(told["passed"]), str(told["says"]), folder, report, kept)


def validate_live(
    model: str,
    experiment: Experiment,
    out: str | Path | None = None,
    *,
    microscope: str | None = None,
    seed: int = 0,
    taking: Callable[[Progress], None] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Judgement:
    """Take truths of the sample that lies there now, and judge a model on all of them.

    Parameters
    ----------
    model : str
        A denoising model, as `validate` takes it.
    experiment : Experiment
        Its survey and ``pairs`` say where and how; see `smartscope.pairs.take_pairs`.
    out : path, optional
        Folder to be made: ``pairs`` and ``report`` in it.
    microscope : str, optional
        Instead of the experiment's.
    seed : int
        Of the bootstrap.
    taking, progress : Callable, optional
        Told how the taking and the judging go on.

    Raises
    ------
    smartscope.errors.Refused
        If model or experiment are not what they should be; what is wrong with the model
        is told before anything moves.
    smartscope.errors.BrokenOff
        If the taking was broken off or the report cannot be written; what was taken is
        kept.
    """
    package = Restorer(model).package
    folder = _new_folder(out, package.name)
    if experiment.pairs.method != "pairs":
        raise Refused(
            f"pairs.method is '{experiment.pairs.method}'.",
            rule="A model is judged against the truth: clean images.",
            way_out="Set it to 'pairs'.",
        )
    taken = take_pairs(
        experiment, folder / "pairs", microscope=microscope, progress=taking
    )
    if taken.exit_code not in (0, 3):
        raise BrokenOff(
            "The truths were not all taken.",
            way_out=f"Judge by those that were: 'smartscope validate {model} --data "
            f"{taken.folder} --split all'.",
            state=f"They are kept in {taken.folder}.",
        )
    return validate(
        model,
        taken.folder,
        folder / "report",
        split="all",
        seed=seed,
        progress=progress,
    )


def _keep(report: dict[str, Any], told: dict[str, Any], folder: Path) -> Path:
    figures = {
        name: value
        for name, value in told.items()
        if name not in ("says", "passed", "worse_than_raw", "ap_by_iou")
    }
    return store_verdict(
        ModelVerdict(
            model=report["model"],
            sha256=report["sha256"],
            described_sha256=report["described_sha256"],
            role=report["role"],
            microscope=report["microscope"],
            passed=bool(told["passed"]),
            says=str(told["says"]),
            figures=_finite(figures),
            data=report["data"],
            report=str(folder.resolve()),
            made=report["made"],
        )
    )


def _over(hashes: Sequence[str]) -> str:
    """Return a hash over the pixels of all images, in their order."""
    found = hashlib.sha256()
    for one in hashes:
        found.update(one.encode())
    return found.hexdigest()


def _new_folder(out: str | Path | None, model: str) -> Path:
    if out is None:
        time = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
        safe = "".join(c if c.isalnum() or c in ".-" else "_" for c in model)
        return Path("validations") / f"{time}_{safe}"
    path = Path(out)
    if path.exists():
        raise Refused(
            f"The output folder {path} exists.",
            rule="A report is written into a new folder; none is overwritten.",
            way_out="Name another with --out, or move this one away.",
        )
    return path


def _finite(value: Any) -> Any:
    """Return plain JSON values: what is infinite becomes None, keys become text."""
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
