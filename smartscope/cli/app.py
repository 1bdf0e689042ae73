"""The commands; what they do stands elsewhere and is imported when it is needed.

``--help`` must answer at once, so nothing here is imported that a command does not need
yet. Results go to stdout (with ``--json`` exactly one document), all else to stderr.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smartscope.cli.calibrate import calibrate
from smartscope.cli.models import models
from smartscope.cli.telling import ended_like_ctrl_c, telling
from smartscope.cli.train import train
from smartscope.cli.truths import pairs, validate

if TYPE_CHECKING:
    from smartscope.settings import Experiment

app = typer.Typer(
    name="smartscope",
    help="Watch a specimen, recognise what happens, react, record and replay it.",
    epilog="Exit codes: 0 well, 1 differs, 2 refused before anything moved, "
    "3 degraded, 4 broken off, 130 stopped by the user.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

app.add_typer(models)
app.add_typer(calibrate)
app.add_typer(train)
app.command()(pairs)
app.command()(validate)

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document and nothing else.")
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the run; must not exist.  [default: runs/TIME_NAME]"),
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]


@app.command()
def demo(
    out: Out = None,
    as_json: AsJson = False,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Another specimen.  [default: the demo's]")
    ] = None,
) -> None:
    """Run the demo: dividing cells under a simulated microscope, about a minute."""
    with telling(as_json) as tell:
        from importlib.resources import as_file, files

        from smartscope.settings import Experiment

        with as_file(files("smartscope.zoo") / "demo.yaml") as path:
            experiment = Experiment.load(path)
        if seed is not None:
            experiment = experiment.model_copy(update={"seed": seed})
        tell.code = _run(experiment, out, None, None, as_json)


@app.command()
def run(
    experiment: Annotated[
        Path, typer.Argument(metavar="EXPERIMENT.yaml", help="The experiment file.")
    ],
    microscope: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml", help="Instead of the experiment's microscope."
        ),
    ] = None,
    out: Out = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Decide and record, but react to nothing.")
    ] = False,
    unverified: Annotated[
        bool,
        typer.Option(
            "--unverified",
            help="Take models that do not reproduce their own test tensors; the run "
            "says so for ever.",
        ),
    ] = False,
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PLACE:X,Y",
            help="Follow the cell nearest to a point, stage µm (choose: click); may be "
            "given for several places.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run an experiment."""
    with telling(as_json) as tell:
        from smartscope.settings import Experiment

        # policies and detectors of one's own lie beside the experiment, or here
        for folder in (Path.cwd(), experiment.parent.absolute()):
            _importable(folder)
        loaded = Experiment.load(experiment)
        if unverified:
            analysis = loaded.analysis.model_copy(update={"unverified": True})
            loaded = loaded.model_copy(update={"analysis": analysis})
        tell.code = _run(loaded, out, microscope, shadow or None, as_json, target or [])


def _importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        # last: a file of the user's must not hide a library of ours
        sys.path.append(str(folder))


def _run(
    experiment: Experiment,
    out: Path | None,
    microscope: str | None,
    shadow: bool | None,
    as_json: bool,
    pointed: list[str] | None = None,
) -> int:
    from smartscope.cli import tables
    from smartscope.cli.answers import KeyboardAnswers
    from smartscope.cli.live import LiveView
    from smartscope.cli.pointed import target_from
    from smartscope.loop import run as run_experiment
    from smartscope.signals import RunSignals

    targets = [target_from(words) for words in pointed or []]
    signals = RunSignals()
    if experiment.approve is not None or experiment.follows_clicks:
        KeyboardAnswers(signals)

    with ended_like_ctrl_c(), LiveView(experiment.name) as view:
        result = run_experiment(
            experiment,
            out,
            microscope=microscope,
            shadow=shadow,
            progress=view.show,
            signals=signals,
            targets=targets,
        )
    if as_json:
        tables.print_json(result.summary)
    else:
        tables.print_summary(result.summary)
    return result.exit_code


@app.command()
def show(folder: RunFolder, as_json: AsJson = False) -> None:
    """Summarise a run, finished or broken off."""
    with telling(as_json):
        from smartscope.cli import tables
        from smartscope.storage import Run, summarise

        summary = summarise(Run.open(folder))
        if as_json:
            tables.print_json(summary)
        else:
            tables.print_summary(summary)


@app.command()
def replay(folder: RunFolder, as_json: AsJson = False) -> None:
    """Analyse a run again: "identical", or the first difference and exit code 1."""
    with telling(as_json) as tell:
        from smartscope.cli import tables
        from smartscope.replay import replay as replay_run

        _importable(Path.cwd())
        replayed = replay_run(folder)
        if as_json:
            tables.print_json(replayed.to_record())
        else:
            tables.print_replayed(replayed)
        tell.code = replayed.exit_code


@app.command()
def compare(
    folder: RunFolder,
    detect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DETECTOR",
            help="Another one, as in analysis.detect; may be given several times.  "
            "[default: the experiment's rivals]",
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            min=1, help="At most so many frames.  [default: the experiment's, 200]"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let other detectors look at a run, and tell whether its own one was needed."""
    with telling(as_json):
        from smartscope.cli import tables
        from smartscope.cli.comparison import detectors_from
        from smartscope.loop import compare as compare_run
        from smartscope.storage import Run

        _importable(Path.cwd())
        rivals = detectors_from(detect or [])
        compared = compare_run(Run.open(folder), rivals, frames=frames)
        if as_json:
            tables.print_json(compared)
        else:
            tables.print_comparison(compared)


@app.command()
def schema() -> None:
    """Print the JSON Schema of experiment files: every key, its type and meaning."""
    with telling(True):
        from smartscope.cli import tables
        from smartscope.settings import Experiment

        tables.print_json(Experiment.model_json_schema())


@app.command()
def microscopes(as_json: AsJson = False) -> None:
    """List the microscopes that are shipped."""
    with telling(as_json):
        from smartscope.cli import tables
        from smartscope.microscope import (
            find_microscope,
            read_microscope,
            shipped_microscopes,
        )

        found = {
            name: read_microscope(find_microscope(name)).description
            for name in shipped_microscopes()
        }
        if as_json:
            tables.print_json(found)
        else:
            tables.print_pairs(found, "microscope", "what it is")


@app.command(name="equal-light")
def equal_light(
    experiment: Annotated[
        Path, typer.Argument(metavar="EXPERIMENT.yaml", help="The experiment file.")
    ],
    microscope: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml", help="Instead of the experiment's microscope."
        ),
    ] = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Run an experiment, and its survey alone with as much light, and compare them."""
    with telling(as_json) as tell:
        from smartscope.cli import tables
        from smartscope.cli.live import LiveView
        from smartscope.loop import run_at_equal_light
        from smartscope.settings import Experiment

        for folder in (Path.cwd(), experiment.parent.absolute()):
            _importable(folder)
        loaded = Experiment.load(experiment)
        with ended_like_ctrl_c(), LiveView(loaded.name) as view:
            done = run_at_equal_light(
                loaded, out, microscope=microscope, progress=view.show
            )
        if as_json:
            tables.print_json({**done.told, "folder": str(done.folder)})
        else:
            tables.print_equal_light(done.told, done.folder)
        tell.code = done.exit_code


@app.command()
def bench(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="acquisition, catches, equal_light, flashes, following, inference, "
            "latency, memory, policies, quiet_nights, reflex, storage.",
        ),
    ],
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="How many frames.  [default: the bench's own number]"),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(
            min=0.1, help="Simulated, of 'following'.  [default: the bench's own]"
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Specimens, of those that count catches.  [default: the bench's own]",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast smartscope is on this machine, and how much it catches."""
    with telling(as_json):
        from smartscope.bench import find_bench
        from smartscope.cli import tables

        def tell(line: str) -> None:
            typer.echo(line, err=True)

        measured = find_bench(name, frames, hours, seeds, tell)()
        if as_json:
            tables.print_json(measured)
        else:
            tables.print_measured(name, measured)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Tell what this machine has and what is broken; exit code 1 if something is."""
    with telling(as_json) as tell:
        from smartscope.cli import tables
        from smartscope.cli.doctor import examine, lines

        told = examine(Path.cwd())
        if as_json:
            tables.print_json(told)
        else:
            tables.print_lines(lines(told))
        tell.code = 1 if told["problems"] else 0


@app.command()
def version() -> None:
    """Print the version."""
    import smartscope

    typer.echo(smartscope.__version__)


def main() -> None:
    """Run the command line."""
    app()
