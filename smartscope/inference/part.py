"""A model by itself: its session, there while it is needed."""

from __future__ import annotations

import copy
from typing import Any

from smartscope.inference.graph import GraphTail, append_processing
from smartscope.inference.heads.head import Head
from smartscope.inference.heads.peaks import append_peaks
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.precision import Half
from smartscope.inference.session import ModelSession
from smartscope.inference.settings import Device


class Part:
    """One net, alone or with a head at the end of its graph.

    Where a fused graph has the same weights the session is let go, so that they are
    held once; if the part must run after all it is made again.

    Parameters
    ----------
    package : ModelPackage
        Whose net.
    head : Head or None
        Appended where `fused`; None: the search for candidates.
    fused : bool
        Whether anything is appended.
    half : Half or None
        The net in half precision, to run in its place.
    device : str
        Where, as `ModelSession` takes it.
    threads : int, optional
        For the CPU; default: all cores but one.

    Attributes
    ----------
    asked, obtained : str
        The device asked for and the one it runs on.
    notice : str
        What the user should know about that; ``""`` if nothing.

    Raises
    ------
    smartscope.errors.Refused
        If the runtime cannot take it.
    """

    def __init__(
        self,
        package: ModelPackage,
        head: Head | None,
        fused: bool,
        half: Half | None,
        device: Device,
        threads: int | None,
    ) -> None:
        self.package = package
        self.head = head
        self.fused = fused
        self.half = half
        self.asked: str = device
        self.threads = threads
        self._session: ModelSession | None = None
        self.obtained, self.notice = self.session.obtained, self.session.notice
        self.threads = self.session.threads

    @property
    def session(self) -> ModelSession:
        """The session; made again where it was let go."""
        if self._session is None:
            self._session = ModelSession(
                self._source(),
                name=self.package.name,
                device=self.asked,
                threads=self.threads,
            )
        return self._session

    def runs_as(self, session: ModelSession) -> None:
        """Take over where a session runs that the net is a part of."""
        if session.obtained != self.obtained:
            self.obtained, self.notice = session.obtained, session.notice

    def let_go(self) -> None:
        """Give the memory of the session back."""
        self._session = None

    def run_alone(self) -> None:
        """Leave the head out of the graph from now on: its outputs are asked for."""
        if self.fused:
            self.fused, self._session = False, None

    def _source(self) -> Any:
        net = self.half.model if self.half is not None else None
        if not self.fused:
            return self.package.onnx.path if net is None else net.SerializeToString()
        tail = GraphTail(self.package.onnx if net is None else copy.deepcopy(net))
        first = append_processing(tail, self.package)
        if self.head is None:
            append_peaks(tail, first)
        else:
            rest = [p.name for p in self.package.onnx.outputs[1:]]
            self.head.append(tail, [first, *rest])
        return tail.serialized()
