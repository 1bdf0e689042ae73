"""The command line: ``smartscope``."""

from smartscope.cli.app import app, main

__all__ = ["app", "main"]
