"""The analysis process: frames come over the ring, reactions go back.

What it needs comes as one JSON line on its standard input (see ``child``). It owns the
reflex and all user code, touches no hardware, holds no lock of the acquisition process,
and ends when its pipe ends.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

import numpy as np

from smartscope.acquisition import Frame, Limits, RingReader
from smartscope.errors import SmartscopeError
from smartscope.inference import page_locked
from smartscope.reflex import Reflex, Seed
from smartscope.response import Outcome, target_of
from smartscope.settings import Experiment
from smartscope.storage import RestoredStore, RunFolder, read_calibration


def build(init: dict[str, Any], asking: Callable[[int], None] | None = None) -> Reflex:
    """Build the reflex from plain values and warm it up on an empty frame.

    ``asking`` is told which policy is about to be asked, see `PolicyPanel`.

    Raises
    ------
    smartscope.errors.SmartscopeError
        If a model or a policy cannot be loaded or does not fit the frames, or the
        run's dark or flat field is not what was written.
    """
    corrections = None
    if init.get("calibration"):
        corrections = read_calibration(Path(init["folder"]), init["calibration"])
    reflex = Reflex(
        Experiment.model_validate(init["experiment"]),
        Limits.model_validate(init["limits"]),
        corrections=corrections,
        asking=asking,
    )
    header = init["sample"]
    empty = np.zeros(header["shape"], np.dtype(header["dtype"]))
    reflex.warm_up(Frame.from_header(header, empty))
    if init.get("seed") is not None:
        reflex.seed(Seed.model_validate(init["seed"]))
    return reflex


def open_restored(init: dict[str, Any]) -> RestoredStore | None:
    """Open the store of restored images, where the run keeps them."""
    asked = init.get("restored")
    if asked is None:
        return None
    storage = Experiment.model_validate(init["experiment"]).storage
    return RestoredStore(RunFolder(Path(asked["folder"])), storage, asked["cameras"])


def feed(reflex: Reflex, inputs: list[dict[str, Any]]) -> None:
    """Give the reflex what came from engine, clock and people, in its order."""
    for given in inputs:
        if given["input"] == "outcome":
            reflex.take(Outcome.model_validate(given["outcome"]))
        elif given["input"] == "target":
            reflex.point(target_of(given))


def look(
    reflex: Reflex,
    seq: int,
    header: dict[str, Any],
    pixels: Any,
    restored: RestoredStore | None = None,
) -> dict[str, Any]:
    """Analyse one frame and return the record of it as plain values."""
    began = time.monotonic()
    frame = Frame.from_header(header, pixels)
    reaction = reflex.step(frame)
    record = reaction.to_record()
    if restored is not None and reaction.restored is not None:
        record["restored"] = restored.offer(frame, reaction.restored)
    record["seq"] = seq
    record["handed_over_s"] = header["handed_over_s"]
    # whole, for the acquisition process, which journals them as lines of their own
    record["_decisions"] = [d.to_record() for d in reaction.decisions]
    record["_occurrences"] = [o.to_record() for o in reaction.occurrences]
    record["timings_ms"]["ring"] = (began - header["handed_over_s"]) * 1e3
    return record


def serve(
    connection: Connection,
    reader: RingReader,
    reflex: Reflex,
    restored: RestoredStore | None = None,
) -> None:
    """Answer frames until the pipe ends."""
    while True:
        try:
            message = connection.recv_bytes()
        except (EOFError, OSError):
            return
        order, _, head = message.partition(b"\n")
        asked = json.loads(order)
        feed(reflex, asked["inputs"])
        header = json.loads(head)
        pixels = reader.pixels(header["shape"], header["dtype"])
        record = look(reflex, asked["seq"], header, pixels, restored)
        connection.send_bytes(json.dumps(record, separators=(",", ":")).encode())


def main(init: dict[str, Any]) -> None:
    """Connect to the acquisition process, get ready, serve."""
    # Ctrl-C is for the acquisition process; it ends this one in its own order
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # whatever user code prints must not look like the program's own output
    sys.stdout = sys.stderr
    with Client(init["address"], authkey=bytes.fromhex(init["key"])) as connection:
        reader = RingReader(init["ring"])
        try:
            reflex = build(init, reader.mark)
            restored = open_restored(init)
        except SmartscopeError as e:
            reader.close()
            connection.send_bytes(json.dumps({"error": str(e)}).encode())
            return
        ready = {"ready": True, "models": reflex.models()}
        connection.send_bytes(json.dumps(ready).encode())
        try:
            with page_locked(reader.memory):
                serve(connection, reader, reflex, restored)
        finally:
            del reflex
            reader.close()
            if restored is not None:
                restored.close()
