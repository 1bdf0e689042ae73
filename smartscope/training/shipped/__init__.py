"""How the shipped models are made: one module each, with the report in its package.

``smartscope train shipped NAME --out DIR`` runs one; its ``model`` folder is what lies
in ``smartscope/zoo``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from smartscope.errors import Refused, nearest
from smartscope.training.learning import Course

__all__ = ["SHIPPED", "make_shipped"]

SHIPPED = ("denoise", "division", "nuclei", "spots")
"""Models that are learned; the others of the zoo are classical filters."""

_NEED_DATA = ("nuclei",)
_MAY_HAVE_DATA = ("denoise", "division")
_MAY_HAVE_NUCLEI = ("division",)


def make_shipped(
    name: str,
    out: str | Path,
    *,
    data: str | Path | None = None,
    nuclei: str | Path | None = None,
    minutes: float | None = None,
    seed: int = 0,
    told: Callable[[Course], None] | None = None,
) -> dict[str, Any]:
    """Train a shipped model anew and measure it on data that it never saw.

    Parameters
    ----------
    name : str
        One of ``SHIPPED``.
    out : path
        Folder of the training, to be made; ``model`` in it is the package.
    data : path, optional
        Labelled images, for ``nuclei``. For ``denoise`` a movie of one thing, for
        ``division`` recorded movies: by these they are judged only.
    nuclei : path, optional
        Labelled images of nuclei, for ``division``: those among which cells divide.
    minutes : float, optional
        Of training, at most; default: what the shipped one took.
    seed : int
        Of weights, of what is drawn and of the split.
    told : Callable, optional
        Called after each look at validation.

    Returns
    -------
    dict
        What was measured, as plain values.

    Raises
    ------
    smartscope.errors.Refused
        If there is none of that name, or it needs data or takes none.
    smartscope.errors.BrokenOff
        If the loss is no number any more or memory is not enough.
    """
    if name not in SHIPPED:
        raise Refused(
            f"There is no shipped model '{name}' to train.{nearest(name, SHIPPED)}",
            rule=f"Shipped models that are learned: {', '.join(SHIPPED)}.",
            way_out="Name one of them.",
        )
    needed, given = name in _NEED_DATA, data is not None
    if needed != given and not (given and name in _MAY_HAVE_DATA):
        need = "is made of labelled images" if data is None else "is simulated alone"
        raise Refused(
            f"The model '{name}' {need}.",
            rule=f"Made of labelled images: {', '.join(_NEED_DATA)}.",
            way_out="Name their folder by --data."
            if data is None
            else "Leave --data away.",
        )
    if nuclei is not None and name not in _MAY_HAVE_NUCLEI:
        raise Refused(
            f"The model '{name}' takes no --nuclei.",
            rule="Nuclei of images rest in what is drawn for: "
            f"{', '.join(_MAY_HAVE_NUCLEI)}.",
            way_out="Leave --nuclei away; labelled images to learn from are --data.",
        )
    module = importlib.import_module(f"smartscope.training.shipped.{name}")
    chosen: dict[str, Any] = {} if minutes is None else {"minutes": minutes}
    if data is not None:
        chosen["data"] = Path(data)
    if nuclei is not None:
        chosen["nuclei"] = Path(nuclei)
    figures: dict[str, Any] = module.make(Path(out), seed=seed, told=told, **chosen)
    return figures
