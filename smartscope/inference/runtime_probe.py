"""What onnxruntime this machine has, and what it can really do.

Which providers a wheel was built with says nothing of the machine; only a session says
what it obtained. Nothing here prints: what the libraries say is caught and told.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from typing import Any

WHEELS = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-qnn",
    "onnxruntime-rocm",
)
_LIBRARIES = {
    "CUDAExecutionProvider": (
        "libcuda.so.1",
        "libcudart.so.13",
        "libcublas.so.13",
        "libcublasLt.so.13",
        "libcudnn.so.9",
        "libcufft.so.12",
        "libcurand.so.10",
    ),
    "TensorrtExecutionProvider": ("libcuda.so.1", "libnvinfer.so.10"),
}
_REMOTE = frozenset({"AzureExecutionProvider"})  # asks a server; nothing runs there
_SHORT = {
    "CPUExecutionProvider": "cpu",
    "CUDAExecutionProvider": "cuda",
    "TensorrtExecutionProvider": "tensorrt",
}
_NAMED = re.compile(r"\blib[\w+-]+\.so(?:\.\d+)*|\b[\w-]+\.dll", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider of the installed wheel.

    Attributes
    ----------
    name : str
        ``cpu``, ``cuda``, ``tensorrt``, or as onnxruntime calls it.
    obtained : bool
        Whether a session really ran on it.
    missing : tuple of str
        Libraries that could not be loaded.
    why : str
        Why it was not obtained.
    """

    name: str
    obtained: bool
    missing: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The onnxruntime of this environment.

    Attributes
    ----------
    wheels : dict of str to str
        Version by distribution.
    version : str
        As the imported module says; ``""`` if it cannot be imported.
    providers : tuple of Provider
        All the wheel was built with.
    problems : tuple of str
        What is broken, with the way out.
    """

    wheels: dict[str, str]
    version: str
    providers: tuple[Provider, ...]
    problems: tuple[str, ...]


def probe_runtime() -> Runtime:
    """Look at the installed onnxruntime and run one node on each provider it has."""
    wheels = installed_wheels()
    problems = wheel_problems(wheels)
    try:
        with _silence():
            import onnxruntime as ort  # type: ignore[import-untyped]  # it has no stubs

            names = [n for n in ort.get_available_providers() if n not in _REMOTE]
            version = str(ort.__version__)
    except (ImportError, AttributeError, OSError) as e:
        # AttributeError: the ruin that is left when one of two wheels was removed
        told = f"onnxruntime cannot be imported: {e}."
        if not wheels:
            return Runtime(wheels, "", (), problems)
        again = (
            "Run: pip uninstall -y " + " ".join(wheels) + "; then install one again."
        )
        return Runtime(wheels, "", (), (*problems, f"{told} {again}"))
    # the CPU last: its absence would be a broken wheel
    names.sort(key=lambda name: name == "CPUExecutionProvider")
    providers = tuple(_try(ort, name) for name in names)
    return Runtime(wheels, version, providers, problems)


def installed_wheels() -> dict[str, str]:
    """Return the versions of all installed wheels that own ``import onnxruntime``."""
    found = {}
    for distribution in distributions():
        name = str(distribution.metadata["Name"] or "").lower().replace("_", "-")
        if name in WHEELS:
            found[name] = distribution.version
    return dict(sorted(found.items()))


def wheel_problems(wheels: dict[str, str]) -> tuple[str, ...]:
    """Return what is wrong with a set of wheels: none at all, or more than one."""
    if not wheels:
        return (
            "No onnxruntime is installed, so no model can run. Run: "
            'pip install "smartscope[cpu]", or "smartscope[gpu]" with an NVIDIA card.',
        )
    if len(wheels) > 1:
        return (
            f"{' and '.join(wheels)} are installed together. They write the same "
            "folder: the one installed last runs, often without the GPU, and nothing "
            "says so. Run: pip uninstall -y " + " ".join(wheels) + "; then "
            'pip install "smartscope[gpu]" or "smartscope[cpu]", not both.',
        )
    return ()


def _try(ort: Any, name: str) -> Provider:
    short = _SHORT.get(name, name)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    first, failed = "", ""
    with _silence() as said:
        if name != "CPUExecutionProvider" and hasattr(ort, "preload_dlls"):
            ort.preload_dlls()
        try:
            session = ort.InferenceSession(_one_node(), options, providers=[name])
            first = str(session.get_providers()[0])
        except Exception as e:  # noqa: BLE001  # whatever it is, it is the answer
            failed = str(e).strip().splitlines()[0] if str(e).strip() else repr(e)
    if first == name:
        return Provider(short, True)
    missing = missing_libraries(name, said())
    why = failed or (
        f"missing {', '.join(missing)}" if missing else "there is no such device"
    )
    return Provider(short, False, missing, why)


def missing_libraries(name: str, said: str) -> tuple[str, ...]:
    """Return the libraries that a provider needs and that cannot be loaded.

    Parameters
    ----------
    name : str
        Of the provider.
    said : str
        What onnxruntime said; libraries it names are tried too.
    """
    wanted = list(_LIBRARIES.get(name, ()) if sys.platform == "linux" else ())
    for line in said.splitlines():
        # its own plug-in is named in the same breath as what that one needs
        wanted += [n for n in _NAMED.findall(line) if "onnxruntime" not in n.lower()]
    return tuple(n for n in dict.fromkeys(wanted) if not _loads(n))


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _one_node() -> bytes:
    import onnx

    def port(name: str) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1])

    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "probe", [port("x")], [port("y")]),
        opset_imports=[onnx.helper.make_opsetid("", 13)],
        ir_version=8,
    )
    return bytes(model.SerializeToString())


class _Said:
    """What was printed meanwhile, also by code that is no Python."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self) -> str:
        return self.text


@contextlib.contextmanager
def _silence() -> Iterator[_Said]:
    """Catch stdout and stderr of Python and of the libraries below it."""
    said = _Said()
    printed = io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with tempfile.TemporaryFile() as caught:
        kept: Sequence[int] = [os.dup(1), os.dup(2)]
        try:
            os.dup2(caught.fileno(), 1)
            os.dup2(caught.fileno(), 2)
            with (
                contextlib.redirect_stdout(printed),
                contextlib.redirect_stderr(printed),
            ):
                yield said
        finally:
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)
            caught.seek(0)
            low = caught.read().decode(errors="replace")
            said.text = printed.getvalue() + low
