"""``smartscope pairs`` and ``smartscope validate``: truths taken, models judged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smartscope.cli.telling import ended_like_ctrl_c, telling
from smartscope.errors import Refused, nearest

if TYPE_CHECKING:
    from smartscope.trial import Judgement

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.")
]
_SPLITS = ("train", "validation", "test", "all")


def validate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A shipped model, a package, an .onnx, or a detector."
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of truths: noisy/ and clean/, images/ and labels/, images/ "
            "and points/, or movies/ and events/."
        ),
    ] = None,
    experiment: Annotated[
        Path | None,
        typer.Option(
            metavar="EXPERIMENT.yaml",
            help="Instead of --data: takes truths of this sample now, at its places.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the report.  [default: validations/TIME_MODEL]"),
    ] = None,
    microscope: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="On which the truths were taken, or are: the verdict holds for it.  "
            "[default: what the folder or the experiment says]",
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="train, validation, test or all of a folder of pairs; of one that is "
            "not split test is what the model has not learned from."
        ),
    ] = "test",
    pixel_size_um: Annotated[
        float | None,
        typer.Option("--pixel-size", min=1e-4, help="µm.  [default: what is known]"),
    ] = None,
    within_px: Annotated[
        float | None,
        typer.Option(
            "--within",
            min=0.1,
            help="Pixels from a point within which it is found.  [default: as in the "
            "training]",
        ),
    ] = None,
    at_least: Annotated[
        float,
        typer.Option(min=0, max=1, help="F1 that a detecting model must reach."),
    ] = 0.7,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Judge a model on truths; exit code 1 if it does not pass."""
    with telling(as_json) as tell:
        from rich.console import Console

        from smartscope.cli import tables
        from smartscope.trial import validate as judge

        console = Console(stderr=True, highlight=False)
        if split not in _SPLITS:
            raise Refused(
                f"There is no split '{split}'.{nearest(split, _SPLITS)}",
                rule=f"It is one of: {', '.join(_SPLITS)}.",
                way_out="Name one of them.",
            )
        if (data is None) == (experiment is None):
            raise Refused(
                "Give either --data or --experiment.",
                rule="Truths are there in a folder, or are taken now.",
                way_out="'smartscope validate --help' tells more.",
            )
        if experiment is not None:
            judged = _live(model, experiment, out, microscope, seed)
        else:
            with console.status("reads the truths") as status:
                judged = judge(
                    model,
                    data or Path(),
                    out,
                    microscope=microscope,
                    split=split,  # type: ignore[arg-type]  # one of them, see above
                    pixel_size_um=pixel_size_um,
                    within_px=within_px,
                    at_least=at_least,
                    seed=seed,
                    progress=lambda name: status.update(f"judges {name}"),
                )
        if as_json:
            tables.print_json({**judged.told, "folder": str(judged.folder)})
        else:
            rows = [("verdict", "passed" if judged.passed else "NOT PASSED")]
            rows += [("", judged.says), *_numbers(judged.told)]
            rows += [("report", str(judged.folder / "report.json"))]
            rows += [("pictures", str(judged.folder / "report.png"))]
            kept = (
                str(judged.kept)
                if judged.kept
                else ("nowhere: name the microscope with --microscope")
            )
            tables.print_lines([*rows, ("kept in", kept)])
        tell.code = 0 if judged.passed else 1


def _live(
    model: str, path: Path, out: Path | None, microscope: str | None, seed: int
) -> Judgement:
    from smartscope.cli.live import LiveView
    from smartscope.settings import Experiment
    from smartscope.trial import validate_live

    loaded = Experiment.load(path)
    with ended_like_ctrl_c(), LiveView(f"{loaded.name}: pairs") as view:
        return validate_live(
            model, loaded, out, microscope=microscope, seed=seed, taking=view.show
        )


def _numbers(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the means of each way in a line."""
    rows = []
    if told["role"] == "denoise":
        for way, means in told["mean"].items():
            rows.append(
                (
                    way,
                    f"PSNR {means['affine_psnr_db']:.2f} dB, SSIM "
                    f"{means['affine_ssim']:.3f}, NRMSE {means['affine_nrmse']:.4f}, "
                    f"Pearson {means['pearson']:.4f} (affine fit)",
                )
            )
        return rows
    for way in (w for w in ("prediction", "watershed", "tuned_log") if w in told):
        means = {name: value["mean"] for name, value in told[way].items()}
        rows.append((way, ", ".join(f"{n} {v:.3f}" for n, v in means.items())))
    return rows


def pairs(
    experiment: Annotated[
        Path, typer.Argument(metavar="EXPERIMENT.yaml", help="The experiment file.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the pairs; must not exist.")],
    microscope: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml", help="Instead of the experiment's microscope."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take pairs of noisy and clean images at the survey's places, to learn from."""
    with telling(as_json) as tell:
        from smartscope.cli import tables
        from smartscope.cli.live import LiveView
        from smartscope.pairs import take_pairs
        from smartscope.settings import Experiment

        loaded = Experiment.load(experiment)
        with ended_like_ctrl_c(), LiveView(f"{loaded.name}: pairs") as view:
            taken = take_pairs(loaded, out, microscope=microscope, progress=view.show)
        if as_json:
            manifest = taken.manifest.model_dump(mode="json", exclude={"experiment"})
            tables.print_json({"folder": str(taken.folder), **manifest})
        else:
            rows = [("pairs", said) for said in taken.manifest.says]
            tables.print_lines([*rows, ("folder", str(taken.folder))])
        tell.code = taken.exit_code
