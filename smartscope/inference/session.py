"""An onnxruntime session: the only file that makes one.

Which provider was asked for and which one really runs are two facts; the runtime falls
back to the CPU without a word, so the second is read from the session itself.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference.bound import BoundRun, can_bind
from smartscope.inference.providers import CPU, CUDA, SHORT, NamedDevice, Provider
from smartscope.inference.settings import Device

_WRITTEN = {"cpu": "a CPU", "cuda": "CUDA", "tensorrt": "TensorRT"}
PROFILES: ContextVar[Path | None] = ContextVar("PROFILES", default=None)
"""Sessions made meanwhile write into this folder what each operator took, when they
go; set by the bench of a model."""

_QUIET = 4  # onnxruntime's level "fatal": its errors reach us as exceptions


def spare_threads() -> int:
    """Return the threads a model may use so that the camera keeps a core."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)) - 1)
    return max(1, (os.cpu_count() or 1) - 1)


def wants_gpu(device: Device) -> bool:
    """Return True if a GPU is looked for first; whether it is obtained is seen later.

    Raises
    ------
    smartscope.errors.Refused
        If onnxruntime is missing, or there is no such device.
    """
    wanted = NamedDevice.parse(device).providers(
        _onnxruntime().get_available_providers()
    )
    return _named(wanted[0]) != CPU if wanted else False


class ModelSession:
    """A graph, loaded and ready to run.

    Parameters
    ----------
    model : Path or bytes
        An ONNX file, or a graph made in memory.
    name : str
        Of the model, for errors.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``tensorrt``, or ``cuda:1`` for the second one.
        ``auto`` takes the GPU if there is one and says what it took.
    threads : int, optional
        For the CPU; default: all cores but one.
    fixed : bool
        All its shapes are known and the same in every run: on CUDA its inputs and
        outputs are bound and, if every operator runs there, its kernels are recorded in
        the first run and repeated as one (a CUDA graph).

    Attributes
    ----------
    asked : str
        The device asked for.
    obtained : str
        The device it runs on, as the session itself says.
    notice : str
        What the user should know about it; ``""`` if nothing.
    recorded : bool
        Whether a CUDA graph is used.

    Raises
    ------
    smartscope.errors.Refused
        If onnxruntime is missing, cannot take the graph, or the device is not there.
    """

    def __init__(
        self,
        model: Path | bytes,
        *,
        name: str,
        device: Device = "auto",
        threads: int | None = None,
        fixed: bool = False,
    ) -> None:
        ort = _onnxruntime()
        self.name = name
        self.asked: str = device
        self.threads = spare_threads() if threads is None else threads
        self.notice = ""
        target = NamedDevice.parse(device)
        available = ort.get_available_providers()
        wanted = target.providers(available)
        if target.must and SHORT.get(_named(wanted[0])) != target.must:
            raise Refused(
                f"The model {name} shall run on '{device}', and the installed "
                f"onnxruntime is one without {_WRITTEN[target.must]}.",
                rule="A device that is named must be there; 'auto' may fall back.",
                way_out="Run: pip uninstall onnxruntime; pip install "
                '"smartscope[gpu]"; or set device: auto.',
            )
        on_gpu = _named(wanted[0]) != CPU
        printed = _preload(ort) if on_gpu else ""
        recorded = None
        if fixed and _named(wanted[0]) == CUDA:
            recording = target.providers(available, graph=True)
            recorded = _recorded(ort, model, recording, self.threads, target.number)
        self.recorded = recorded is not None
        self._bound: BoundRun | None = None
        self._session: Any
        if recorded is not None:
            self._session, self._bound = recorded
        else:
            self._session = _create(ort, model, wanted, name, self.threads)
        # a run that fails must not go on elsewhere without a word
        self._session.disable_fallback()
        # that was what its Python part keeps a second copy of the model for
        self._session._model_bytes = None  # noqa: SLF001  # it has no other way
        first = self._session.get_providers()[0]
        self.obtained: str = SHORT.get(first, first)
        if target.must and self.obtained != target.must:
            raise Refused(
                f"The model {name} shall run on '{device}', and onnxruntime gave "
                f"'{self.obtained}': {target.missing(printed)}.",
                rule="A device that is named must be there; 'auto' may fall back.",
                way_out="Install what is missing, or set device: auto.",
            )
        if self.obtained == "cpu" and not target.must:
            why = (
                target.missing(printed)
                if on_gpu
                else "the installed onnxruntime has no CUDA"
            )
            self.notice = f"The model {name} runs on the CPU: {why}."
        if fixed and not self.recorded and self.obtained == "cuda":
            self._bound = _bound(ort, self._session, target.number)
        self.inputs: tuple[str, ...] = tuple(i.name for i in self._session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(
            o.name for o in self._session.get_outputs()
        )

    @property
    def bound(self) -> bool:
        """Whether inputs and outputs keep their places from run to run."""
        return self._bound is not None

    def run(
        self,
        feeds: Mapping[str, npt.NDArray[Any]],
        outputs: Sequence[str] | None = None,
    ) -> list[npt.NDArray[Any]]:
        """Run the graph once.

        Parameters
        ----------
        feeds : Mapping
            Arrays by input name.
        outputs : Sequence of str, optional
            Names of what shall come back; default: everything.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If the runtime fails on these arrays.
        """
        try:
            if self._bound is not None:
                return self._bound.run(feeds, outputs)
            return [np.asarray(a) for a in self._session.run(outputs, dict(feeds))]
        except Exception as e:  # its exceptions share no base class
            raise AnalysisFailed(
                f"The model {self.name} failed on an image: {_first_line(e)}",
                rule="A net takes images of the sizes it was made for.",
                way_out="If it needs multiples of a size, such as 16 or 32, write "
                "'step: 16' into its card: images are padded to them. Otherwise export "
                "it again.",
            ) from e


def _onnxruntime() -> Any:
    try:
        import onnxruntime as ort  # type: ignore[import-untyped]  # it has no stubs

        ort.set_default_logger_severity(_QUIET)
    except (ImportError, AttributeError) as e:
        # AttributeError: the ruin that is left when one of two wheels was removed
        raise Refused(
            f"onnxruntime is not installed or broken ({e}).",
            rule="Models run on onnxruntime; exactly one of its two wheels is there.",
            way_out='Run: pip install "smartscope[cpu]", or "smartscope[gpu]" with an '
            "NVIDIA card.",
        ) from e
    return ort


def _create(
    ort: Any, model: Path | bytes, wanted: Sequence[Provider], name: str, threads: int
) -> Any:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # its Python part prints
            return ort.InferenceSession(
                _source(model), _options(ort, threads), providers=list(wanted)
            )
    except Exception as e:  # its exceptions share no base class
        raise Refused(
            f"onnxruntime {ort.__version__} cannot take the model {name}: "
            f"{_first_line(e)}",
            rule="A model is a valid ONNX graph of operators that onnxruntime has.",
            way_out="Export it again, with a lower opset or without custom operators.",
        ) from e


def _recorded(
    ort: Any,
    model: Path | bytes,
    wanted: Sequence[Provider],
    threads: int,
    number: int,
) -> tuple[Any, BoundRun] | None:
    """Return a session that has recorded a CUDA graph, None if it cannot."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            session = ort.InferenceSession(
                _source(model),
                _options(ort, threads),
                providers=list(wanted),
                enable_fallback=0,  # else it would take the CPU and say nothing
            )
        bound = _bound(ort, session, number)
        if bound is None or session.get_providers()[0] != CUDA:
            return None
        bound.rehearse()
    except Exception:  # noqa: BLE001  # told again, if it is about the model itself
        return None
    return session, bound


def _bound(ort: Any, session: Any, number: int) -> BoundRun | None:
    return BoundRun(ort, session, number=number) if can_bind(session) else None


def _options(ort: Any, threads: int) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    if (folder := PROFILES.get()) is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / "session")
    # threads spin while a graph runs, where waking them would cost more, and never
    # between frames: that would take the core that was left to the camera
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _source(model: Path | bytes) -> bytes | str:
    return model if isinstance(model, bytes) else str(model)


def _named(provider: Provider) -> str:
    return provider if isinstance(provider, str) else provider[0]


def _preload(ort: Any) -> str:
    """Load the CUDA libraries that pip installed; return what it printed."""
    said = io.StringIO()
    if hasattr(ort, "preload_dlls"):
        with contextlib.redirect_stdout(said):
            ort.preload_dlls()
    return said.getvalue()


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:300] if text else type(error).__name__
