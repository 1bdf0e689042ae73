"""``smartscope models``: the packages that look at frames, from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from smartscope.cli.telling import telling
from smartscope.errors import Refused

models = typer.Typer(
    name="models",
    help="List, inspect, test, bench and pack the models that look at frames.",
    no_args_is_help=True,
)

_LONG = 40  # characters: such values of a list stand in lines of their own

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.")
]
Named = Annotated[
    str,
    typer.Argument(metavar="NAME|PATH", help="A shipped model, a package, an .onnx."),
]


@models.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models that are shipped."""
    with telling(as_json):
        from smartscope.cli import tables
        from smartscope.inference import inspect_model, shipped_models

        listed = {}
        for name in shipped_models():
            told = inspect_model(name)
            listed[name] = {
                "title": told["name"],
                "head": told["head"].get("head"),
                "pixel_size_um": told["pixel_size_um"],
                "sha256": told["sha256"],
            }
        if as_json:
            tables.print_json(listed)
        else:
            tables.print_rows("model", listed)


@models.command()
def inspect(
    name: Named,
    card: Annotated[
        bool,
        typer.Option("--card", help="Write a first card beside a bare .onnx file."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tell what a model takes and gives; with --card, write what its graph tells."""
    with telling(as_json):
        from smartscope.cli import tables
        from smartscope.inference import FirstCard, inspect_model, write_card

        if card:
            path = Path(name)
            first = FirstCard.of(path)
            written = write_card(path)
            told: dict[str, Any] = {
                "card": str(written),
                "content": first.content,
                "ask": list(first.open_questions),
            }
        else:
            told = inspect_model(name)
        if as_json:
            tables.print_json(told)
        else:
            tables.print_lines(_lines(told))


@models.command("test")
def check_model(name: Named, as_json: AsJson = False) -> None:
    """Run a package on its own test tensors; exit code 1 if it does not reproduce."""
    with telling(as_json) as tell:
        from smartscope.cli import tables
        from smartscope.inference import ModelPackage, verify

        package = ModelPackage.load(name)
        verdict = verify(package)
        told = {"model": package.name, "sha256": package.sha256, **verdict.to_record()}
        if as_json:
            tables.print_json(told)
        else:
            tables.print_lines(_lines(told))
        tell.code = 1 if verdict.state == "not reproduced" else 0


@models.command("bench")
def bench_model(
    name: Named,
    size: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Rows and columns of the frames; may be given several times.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, tensorrt.")] = "auto",
    precision: Annotated[
        str, typer.Option(help="float32, or float16 for half precision.")
    ] = "float32",
    as_json: AsJson = False,
) -> None:
    """Measure how fast a model looks at frames here, and what it could reach."""
    with telling(as_json):
        from smartscope.bench.model import bench_model as measure
        from smartscope.cli import tables

        if precision not in ("float32", "float16"):
            raise Refused(
                f"There is no precision '{precision}'.",
                rule="A net runs in float32 or float16.",
                way_out="Name one of them.",
            )
        measured = measure(
            name,
            sizes=tuple(size or ()),
            device=device,
            precision="float16" if precision == "float16" else "float32",
        )
        if as_json:
            tables.print_json(measured)
        else:
            tables.print_measured(name, measured)


@models.command("pack")
def pack_model(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.onnx", help="With its card beside it.")
    ],
    out: Annotated[Path, typer.Option(help="A folder to make, or a .zip.")],
    author: Annotated[
        list[str] | None, typer.Option(help="May be given several times.")
    ] = None,
    license_id: Annotated[
        str | None, typer.Option("--license", help="Of the SPDX list, such as MIT.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a bioimage.io package, with test tensors made by running it."""
    with telling(as_json):
        from smartscope.cli import tables
        from smartscope.inference import ModelPackage, pack, verify

        made = pack(
            file, out, authors=tuple(author or ("unknown",)), license_id=license_id
        )
        package = ModelPackage.load(made)
        told = {
            "package": str(made),
            "model": package.name,
            "sha256": package.sha256,
            **verify(package).to_record(),
        }
        if as_json:
            tables.print_json(told)
        else:
            tables.print_lines(_lines(told))


def _lines(told: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Flatten values to lines of a table; lists of short values stay together."""
    rows: list[tuple[str, str]] = []
    for key, value in told.items():
        if isinstance(value, Mapping):
            rows += _lines(value, f"{above}{key}.")
        elif isinstance(value, list) and any(isinstance(v, Mapping) for v in value):
            for i, item in enumerate(value):
                rows += _lines(item, f"{above}{key}.{i}.")
        elif value not in (None, "", []):
            items = [str(v) for v in value] if isinstance(value, list) else [str(value)]
            long = any(len(i) > _LONG for i in items)
            rows += [
                (f"{above}{key}", text)
                for text in (items if long else [", ".join(items)])
            ]
    return rows
