"""``smartscope train``: models made of data; needs torch (extra ``train``)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smartscope.cli.telling import ended_like_ctrl_c, telling
from smartscope.errors import Refused

if TYPE_CHECKING:
    from smartscope.training.learning import Course

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
        from pydantic import ValidationError

        from smartscope.cli import tables
        from smartscope.training.settings import TrainSettings

        if importlib.util.find_spec("torch") is None:
            raise Refused(
                "torch is not installed.",
                rule="Training needs torch; nothing else does.",
                way_out='Run: pip install "smartscope[train]".',
            )
        chosen: dict[str, Any] = {"method": method, "minutes": minutes, "seed": seed}
        chosen |= {
            k: v for k, v in (("steps", steps), ("width", width)) if v is not None
        }
        try:
            settings = TrainSettings.model_validate(chosen)
        except ValidationError as e:
            first = e.errors(include_url=False)[0]
            raise Refused(
                f"{first['loc'][0]}: {first['msg']}, got {first['input']!r}.",
                rule="Methods are care, n2n and n2v.",
                way_out="'smartscope train denoise --help' tells more.",
            ) from e
        from smartscope.training.denoise import train_denoise

        with ended_like_ctrl_c():
            made = train_denoise(data, out, settings, resume=resume, told=_tell)
        told = {
            "package": str(made.package),
            "ended": made.course.ended,
            "steps": made.course.step,
            "minutes": round(made.course.seconds / 60, 2),
            "validation": made.course.best,
            "overfits": made.course.overfits,
            "deviation_of_export": made.deviation,
        }
        if as_json:
            tables.print_json(told)
        else:
            tables.print_lines([(k, str(v)) for k, v in told.items()])


def _tell(course: Course) -> None:
    over = ", it overfits" if course.overfits else ""
    typer.echo(
        f"step {course.step}, {course.seconds:.0f} s: training {course.train[-1]:.4g}, "
        f"validation {course.watch[-1]:.4g} (best {course.best:.4g}){over}",
        err=True,
    )
