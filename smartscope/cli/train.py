"""``smartscope train``: models made of data; needs torch (extra ``train``)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from smartscope.cli.telling import ended_like_ctrl_c, telling
from smartscope.errors import Refused

if TYPE_CHECKING:
    from smartscope.training.learning import Course
    from smartscope.training.settings import LearnSettings

Settings = TypeVar("Settings", bound="LearnSettings")

train = typer.Typer(
    name="train", help="Train a model for this specimen.", no_args_is_help=True
)


@train.command()
def denoise(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Folder of pairs; of n2v also an image."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the training.")],
    method: Annotated[
        str,
        typer.Option(
            help="care (noisy to clean), n2n (noisy to noisy) or n2v (noisy alone)."
        ),
    ] = "care",
    minutes: Annotated[float, typer.Option(min=0.01, help="At most.")] = 10.0,
    steps: Annotated[int | None, typer.Option(min=1, help="At most.")] = None,
    width: Annotated[
        int | None, typer.Option(min=4, help="Channels of the first level.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training in --out.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Train a denoising model; Ctrl-C stops it and --resume goes on."""
    with telling(as_json):
        _require_torch()
        from smartscope.training.settings import TrainSettings

        chosen: dict[str, Any] = {"method": method, "minutes": minutes, "seed": seed}
        chosen |= {
            k: v for k, v in (("steps", steps), ("width", width)) if v is not None
        }
        settings = _valid(TrainSettings, chosen, "Methods are care, n2n and n2v.")
        from smartscope.training.denoise import train_denoise

        with ended_like_ctrl_c():
            made = train_denoise(data, out, settings, resume=resume, told=_tell)
        _print(
            made.package, made.course, {"deviation_of_export": made.deviation}, as_json
        )


@train.command()
def detect(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Folder with images/ and labels/."),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the training.")],
    minutes: Annotated[float, typer.Option(min=0.01, help="At most.")] = 30.0,
    steps: Annotated[int | None, typer.Option(min=1, help="At most.")] = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="SIZE", help="small, medium or large: what a frame costs."
        ),
    ] = "medium",
    name: Annotated[
        str, typer.Option(help="Of the model.  [default: that of the data]")
    ] = "",
    begin_with: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT", help="Begin with the weights of a training."
        ),
    ] = None,
    author: Annotated[
        list[str] | None, typer.Option(help="Of the package; may be repeated.")
    ] = None,
    license_id: Annotated[
        str | None, typer.Option("--license", help="Of the SPDX list, as CC-BY-4.0.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training in --out.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Train a detector of outlines (StarDist); Ctrl-C stops it, --resume goes on."""
    with telling(as_json):
        _require_torch()
        from smartscope.training.settings import StarSettings

        chosen: dict[str, Any] = {"minutes": minutes, "seed": seed, "size": size}
        chosen |= {} if steps is None else {"steps": steps}
        settings = _valid(StarSettings, chosen, "Sizes are small, medium and large.")
        from smartscope.training.detect import train_detect

        with ended_like_ctrl_c():
            made = train_detect(
                data,
                out,
                settings,
                name=name,
                begin_with=begin_with,
                resume=resume,
                authors=tuple(author or ("unknown",)),
                license_id=license_id,
                told=_tell,
            )
        _print(made.package, made.course, made.figures, as_json)


def _print(
    package: Path, course: Course, figures: dict[str, Any], as_json: bool
) -> None:
    from smartscope.cli import tables

    told = {
        "package": str(package),
        "ended": course.ended,
        "steps": course.step,
        "minutes": round(course.seconds / 60, 2),
        "validation": course.best,
        "overfits": course.overfits,
        **figures,
    }
    if as_json:
        tables.print_json(told)
    else:
        tables.print_lines([(k, str(v)) for k, v in told.items()])


def _require_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        raise Refused(
            "torch is not installed.",
            rule="Training needs torch; nothing else does.",
            way_out='Run: pip install "smartscope[train]".',
        )


def _valid(kind: type[Settings], chosen: dict[str, Any], rule: str) -> Settings:
    from pydantic import ValidationError

    try:
        return kind.model_validate(chosen)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        raise Refused(
            f"{first['loc'][0]}: {first['msg']}, got {first['input']!r}.",
            rule=rule,
            way_out="'smartscope train --help' tells more.",
        ) from e


def _tell(course: Course) -> None:
    over = ", it overfits" if course.overfits else ""
    typer.echo(
        f"step {course.step}, {course.seconds:.0f} s: training {course.train[-1]:.4g}, "
        f"validation {course.watch[-1]:.4g} (best {course.best:.4g}){over}",
        err=True,
    )
