"""Errors as users see them, and the exit code that goes with each."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import typer

from smartscope.cli.reader_gone import reader_may_go
from smartscope.errors import SmartscopeError

STOPPED = 130


@dataclass(slots=True)
class Tell:
    """The exit code of a command that came to its end."""

    code: int = 0


@contextlib.contextmanager
def telling(as_json: bool) -> Iterator[Tell]:
    """Tell errors of the block in words, and leave with the exit code that fits.

    Parameters
    ----------
    as_json : bool
        Errors become a JSON document on stdout too, with ``error`` and ``exit_code``.
    """
    tell = Tell()
    with reader_may_go():
        yield from _told(tell, as_json)
    if tell.code:
        raise typer.Exit(tell.code)


def _told(tell: Tell, as_json: bool) -> Iterator[Tell]:
    try:
        yield tell
    except SmartscopeError as e:
        _panel(e.what, e.rule, e.way_out, e.state)
        if as_json:
            told = {k: getattr(e, k).strip() for k in _ASPECTS}
            _print_json({"error": told, "exit_code": e.exit_code})
        tell.code = e.exit_code
    except KeyboardInterrupt:
        _panel("Stopped by the user.", "", "", "")
        if as_json:
            stopped = {"what": "Stopped by the user."}
            _print_json({"error": stopped, "exit_code": STOPPED})
        tell.code = STOPPED
    except typer.Exit:
        raise
    except Exception as e:  # noqa: BLE001  # a mistake of ours: 1 would mean "differs"
        from rich.console import Console

        Console(stderr=True).print_exception()
        _panel(
            f"smartscope itself has failed: {type(e).__name__}: {e}",
            "This is a mistake in smartscope, not in your experiment.",
            "Please report it with the lines above.",
            "A run that was on has been closed; what was recorded is kept.",
        )
        if as_json:
            failed = {"what": f"{type(e).__name__}: {e}"}
            _print_json({"error": failed, "exit_code": SmartscopeError.exit_code})
        tell.code = SmartscopeError.exit_code


# who ends a program from outside: a service manager, a closed terminal
_ENDING = ("SIGTERM", "SIGHUP", "SIGBREAK")


@contextlib.contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Make the signals that end a program do what Ctrl-C does, within the block.

    By default they end it at once: the light would stay as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what signals do
        return
    known = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    before = {each: signal.getsignal(each) for each in known}
    for each, handler in before.items():
        if handler is not signal.SIG_IGN:  # nohup wants the run to go on
            signal.signal(each, signal.default_int_handler)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


_ASPECTS = ("what", "rule", "way_out", "state")


def _print_json(document: object) -> None:
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def _panel(what: str, rule: str, way_out: str, state: str) -> None:
    from rich.console import Console, Group
    from rich.panel import Panel
    from rich.text import Text

    rows = (("rule", rule), ("way out", way_out), ("state", state))
    lines = [Text(what.strip())]
    lines += [
        Text.assemble((f"{word}: ", "bold"), said.strip())
        for word, said in rows
        if said
    ]
    # paths and keys must be found again by a search: they are not cut, only wrapped
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        console.print(Panel(Group(*lines), title="smartscope", border_style="red"))
    else:
        console.print("error:", *lines, sep="\n", soft_wrap=True)
