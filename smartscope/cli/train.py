"""``smartscope train``: models made of data; needs torch (extra ``train``)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from smartscope.cli.telling import ended_like_ctrl_c, telling
from smartscope.cli.training_view import TrainingView
from smartscope.errors import Refused

if TYPE_CHECKING:
    from smartscope.training.learning import Course
    from smartscope.training.settings import LearnSettings
    from smartscope.training.sitting import Trained

Settings = TypeVar("Settings", bound="LearnSettings")

train = typer.Typer(
    name="train", help="Train a model for this specimen.", no_args_is_help=True
)

Out = Annotated[Path, typer.Option(help="Folder of the training.")]
Minutes = Annotated[
    float | None,
    typer.Option(
        min=0.01, help="At most.  (default: denoise 10, detect 30, of heatmap 15)"
    ),
]
Steps = Annotated[int | None, typer.Option(min=1, help="At most.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Patches of a step.")]
Patch = Annotated[int | None, typer.Option(min=32, help="Edge of a patch, pixels.")]
Rate = Annotated[float | None, typer.Option(min=1e-7, max=1, help="Of learning.")]
BeginWith = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="Begin with its weights: a shipped model, a package, the folder of a "
        "training or its checkpoint.pt.",
    ),
]
Name = Annotated[str, typer.Option(help="Of the model.  (default: that of the data)")]
Authors = Annotated[
    list[str] | None, typer.Option("--author", help="Of the package; may be repeated.")
]
License = Annotated[
    str | None, typer.Option("--license", help="Of the SPDX list, as CC-BY-4.0.")
]
Seed = Annotated[int, typer.Option(min=0)]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with the training in --out, as it was begun; its minutes, steps, "
        "batch and rate may be others.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.")
]


@train.command()
def denoise(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Folder of pairs; of n2v also an image."),
    ],
    out: Out,
    method: Annotated[
        str,
        typer.Option(
            help="care (noisy to clean), n2n (noisy to noisy) or n2v (noisy alone)."
        ),
    ] = "care",
    frames: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Frames it looks at together; the newest is restored.  (default: 1)",
        ),
    ] = None,
    minutes: Minutes = None,
    steps: Steps = None,
    width: Annotated[
        int | None, typer.Option(min=4, help="Channels of the first level.")
    ] = None,
    batch: Batch = None,
    patch: Patch = None,
    rate: Rate = None,
    begin_with: BeginWith = None,
    name: Name = "",
    author: Authors = None,
    license_id: License = None,
    seed: Seed = 0,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Train a denoising model; Ctrl-C stops it and --resume goes on."""
    with telling(as_json):
        _require_torch()
        from smartscope.training.settings import TrainSettings

        settings = _valid(
            TrainSettings,
            {
                "method": method,
                "frames": frames,
                "minutes": minutes,
                "steps": steps,
                "width": width,
                "batch": batch,
                "patch_px": patch,
                "rate": rate,
                "seed": seed,
            },
            "Methods are care, n2n and n2v.",
        )
        from smartscope.training.denoise import train_denoise

        with ended_like_ctrl_c(), TrainingView(out / "curves.html") as view:
            made = train_denoise(
                data,
                out,
                settings,
                name=name,
                begin_with=begin_with,
                resume=resume,
                authors=tuple(author or ("unknown",)),
                license_id=license_id,
                told=view.told,
                ticked=view.ticked,
            )
        _print(made.package, made.course, made.figures, as_json)


@train.command()
def detect(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Folder with images/ and labels/; of heatmap also images/ and points/ "
            "or movies/ and events/.",
        ),
    ],
    out: Out,
    head: Annotated[
        str,
        typer.Option(
            metavar="HEAD", help="stardist (outlines) or heatmap (points, events)."
        ),
    ] = "stardist",
    frames: Annotated[
        int | None,
        typer.Option(
            min=1, help="Of heatmap: frames it looks at together.  (default: 1)"
        ),
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option(
            min=1.0, help="Of heatmap: usual radius of a thing, pixels.  (default: 6)"
        ),
    ] = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(metavar="UM", help="Of heatmap: edge of a pixel, µm."),
    ] = None,
    minutes: Minutes = None,
    steps: Steps = None,
    size: Annotated[
        str,
        typer.Option(
            metavar="SIZE",
            help="small, medium or, of stardist, large: what a frame costs.  "
            "(default: medium, of heatmap small)",
        ),
    ] = "",
    batch: Batch = None,
    patch: Patch = None,
    rate: Rate = None,
    begin_with: BeginWith = None,
    name: Name = "",
    author: Authors = None,
    license_id: License = None,
    seed: Seed = 0,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Train a detector of outlines or points; Ctrl-C stops it, --resume goes on."""
    with telling(as_json):
        _require_torch()
        chosen: dict[str, Any] = {
            "minutes": minutes,
            "steps": steps,
            "size": size or None,
            "batch": batch,
            "patch_px": patch,
            "rate": rate,
            "seed": seed,
        }
        of_heat = {"frames": frames, "radius": radius, "pixel_size": pixel_size}
        with ended_like_ctrl_c(), TrainingView(out / "curves.html") as view:
            made = _detecting(
                head,
                data,
                out,
                chosen,
                {k: v for k, v in of_heat.items() if v is not None},
                name=name,
                begin_with=begin_with,
                resume=resume,
                authors=tuple(author or ("unknown",)),
                license_id=license_id,
                told=view.told,
                ticked=view.ticked,
            )
        _print(made.package, made.course, made.figures, as_json)


@train.command()
def pack(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of a training.")
    ],
    as_json: AsJson = False,
) -> None:
    """Make the package of a training that was stopped, or of any one anew."""
    with telling(as_json):
        _require_torch()
        from smartscope.cli import tables
        from smartscope.training.again import make_package

        with ended_like_ctrl_c():
            package = make_package(folder)
        if as_json:
            tables.print_json({"package": str(package)})
        else:
            tables.print_lines([("package", str(package))])


@train.command()
def shipped(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="denoise, division, nuclei, spots.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the training.")],
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="Labelled images, which 'nuclei' needs; recorded movies that judge "
            "'division', or frames of one thing that judge 'denoise'.",
        ),
    ] = None,
    nuclei: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="Labelled images of nuclei that rest in the movies of 'division'.",
        ),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="At most.  (default: as for the shipped one)"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Train a model of the shipped zoo anew, as ours was, and measure it."""
    with telling(as_json):
        _require_torch()
        from smartscope.cli import tables
        from smartscope.training.shipped import make_shipped

        with ended_like_ctrl_c(), TrainingView(out / "curves.html") as view:
            figures = make_shipped(
                name,
                out,
                data=data,
                nuclei=nuclei,
                minutes=minutes,
                seed=seed,
                told=view.told,
            )
        if as_json:
            tables.print_json(figures)
        else:
            tables.print_lines([(k, str(v)) for k, v in figures.items()])


def _detecting(
    head: str,
    data: Path,
    out: Path,
    chosen: dict[str, Any],
    of_heat: dict[str, Any],
    **more: Any,
) -> Trained:
    """Train what reads the head that was asked for."""
    if head == "heatmap":
        from smartscope.training.heat import train_points
        from smartscope.training.settings import HeatSettings

        rule = "Sizes are small and medium, frames 1 to 16."
        settings = _valid(HeatSettings, chosen | HeatSettings.of(**of_heat), rule)
        return train_points(data, out, settings, **more)
    if head != "stardist" or of_heat:
        raise Refused(
            f"The head {head} does not take "
            f"{', '.join('--' + k.replace('_', '-') for k in of_heat)}."
            if head == "stardist"
            else f"There is no head {head} to train.",
            rule="Heads are stardist, and heatmap with --frames, --radius and "
            "--pixel-size.",
            way_out="Name --head heatmap, or leave them out.",
        )
    from smartscope.training.detect import train_detect
    from smartscope.training.settings import StarSettings

    stars = _valid(StarSettings, chosen, "Sizes are small, medium and large.")
    return train_detect(data, out, stars, **more)


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
    if figures.get("error", 0.0) > figures.get("error_of_input", float("inf")):
        typer.echo(
            "The model is farther from what it should give than what goes into it: do "
            "not use it. Train longer, or give more images.",
            err=True,
        )


def _require_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        raise Refused(
            "torch is not installed.",
            rule="Training needs torch; nothing else does.",
            way_out='Run: pip install "smartscope[train]".',
        )


def _valid(kind: type[Settings], chosen: dict[str, Any], rule: str) -> Settings:
    """Make settings of what was named; the others are as always."""
    from pydantic import ValidationError

    named = {k: v for k, v in chosen.items() if v is not None}
    try:
        return kind.model_validate(named)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        raise Refused(
            f"{first['loc'][0]}: {first['msg']}, got {first['input']!r}.",
            rule=rule,
            way_out="'smartscope train --help' tells more.",
        ) from e
