"""The same package through bioimageio.core, in a Python of its own.

It pins what the rest does not, so that it lives in another environment, which
``SMARTSCOPE_REFERENCE_PYTHON`` names, with ``bioimageio.core`` and ``onnxruntime``.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from smartscope.errors import Refused

REFERENCE = "SMARTSCOPE_REFERENCE_PYTHON"


class CorePrediction:
    """bioimageio.core, loaded with a package and waiting for frames.

    Parameters
    ----------
    package : Path
        Its folder, with ``bioimageio.yaml``.
    frames : list of np.ndarray
        Shape ``(Y, X)``, the size of the model's image.
    folder : Path
        Where they are written to, for the other process.
    threads : int
        Of its session.

    Attributes
    ----------
    version : str
        Of bioimageio.core.

    Raises
    ------
    smartscope.errors.Refused
        If that environment does not work.
    """

    def __init__(
        self,
        package: Path,
        frames: list[npt.NDArray[np.uint16]],
        folder: Path,
        threads: int,
    ) -> None:
        self._paths = []
        for i, frame in enumerate(frames):
            self._paths.append(folder / f"frame_{i}.npy")
            np.save(self._paths[-1], frame)
        self._said = (folder / "core.log").open("w", encoding="utf-8")
        self._process = subprocess.Popen(
            [
                os.environ[REFERENCE],
                str(Path(__file__).with_name("core_child.py")),
                str(package),
                str(threads),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        )
        self.version = self._line()

    def predict_ms(self, number: int) -> float:
        """Return how long it took for a frame: from counts to the finished map."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{self._paths[number]}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._broken()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._broken()
        return line.strip()

    def _broken(self) -> NoReturn:
        self.__exit__(None, None, None)
        said = Path(self._said.name).read_text(encoding="utf-8").strip()
        last = said.splitlines()[-1] if said else "it said nothing"
        raise Refused(
            f"The Python that {REFERENCE} names could not predict: {last}",
            rule="It has bioimageio.core and onnxruntime.",
            way_out=f"Mend that environment, or unset {REFERENCE}: the bench then "
            "leaves the comparison out.",
        )

    def __enter__(self) -> CorePrediction:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):  # it may have gone with lines unread
                if pipe is not None:
                    pipe.close()
        self._process.wait()
        self._said.close()
