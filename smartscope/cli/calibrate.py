"""``smartscope calibrate``: what the microscope's file states, measured."""

from __future__ import annotations

from typing import Annotated

import typer

from smartscope.cli.telling import telling

calibrate = typer.Typer(
    name="calibrate",
    help="Measure what the microscope's file states; nothing moves.",
    no_args_is_help=True,
)


@calibrate.callback()
def _group() -> None:
    """Keep the word of each command."""


@calibrate.command("slm")
def slm(
    microscope: Annotated[
        str,
        typer.Option(metavar="NAME|FILE.toml", help="A shipped one, or its file."),
    ],
    channel: Annotated[
        str, typer.Option(help="Preset that opens the modulator's light path.")
    ] = "Stimulation",
    exposure_ms: Annotated[
        float, typer.Option(min=0.1, help="Of each picture.")
    ] = 100.0,
    device: Annotated[
        str | None,
        typer.Option(help="The modulator.  [default: that of the file, or the core's]"),
    ] = None,
    grid: Annotated[
        int, typer.Option(min=2, max=20, help="Spots along each axis.")
    ] = 5,
    radius_px: Annotated[
        float | None, typer.Option(min=1, help="Of a spot, in pixels of the modulator.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Fit where a light modulator's pixels lie in the camera, from projected spots.

    Put an even fluorescent layer under the objective.
    """
    with telling(as_json):
        from smartscope.cli import tables
        from smartscope.microscope import calibrate_slm, open_microscope

        with open_microscope(microscope) as scope:
            got = calibrate_slm(
                scope,
                channel=channel,
                exposure_ms=exposure_ms,
                device=device,
                grid=grid,
                radius_px=radius_px,
            )
        if as_json:
            tables.print_json(got.to_record())
            return
        tables.print_lines(
            [
                ("spots", f"{got.found} of {got.projected} found"),
                (
                    "residual",
                    f"{got.residual_px:.2f} px of the modulator (root mean square), "
                    f"{got.largest_px:.2f} px at most",
                ),
            ]
        )
        typer.echo("\nFor the microscope's file:\n")
        typer.echo("\n".join(got.lines()))
