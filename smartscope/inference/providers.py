"""Where a model runs: from the name of a device to what is asked of onnxruntime."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smartscope.errors import Refused

CPU, CUDA, TENSORRT = (f"{p}ExecutionProvider" for p in ("CPU", "CUDA", "Tensorrt"))
SHORT = {CPU: "cpu", CUDA: "cuda", TENSORRT: "tensorrt"}

_LIBRARIES = {
    "cuda": ("libcuda.so.1", "libcudart.so.13", "libcublasLt.so.13", "libcudnn.so.9"),
    "tensorrt": ("libnvinfer.so.10", "libnvonnxparser.so.10"),
}

Provider = str | tuple[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class NamedDevice:
    """A device as it is named in the settings.

    Attributes
    ----------
    kind : {"auto", "cpu", "cuda", "tensorrt"}
        What sort.
    number : int
        Which of several; 0 for the first.
    """

    kind: str
    number: int = 0

    @classmethod
    def parse(cls, device: str) -> NamedDevice:
        """Read ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``tensorrt`` or ``tensorrt:1``.

        Raises
        ------
        smartscope.errors.Refused
            If it is none of these.
        """
        kind, colon, number = device.partition(":")
        numbered = kind in ("cuda", "tensorrt") and number.isdecimal()
        if kind not in ("auto", "cpu", "cuda", "tensorrt") or (colon and not numbered):
            raise Refused(
                f"There is no device '{device}'.",
                rule="Devices are auto, cpu, cuda, cuda:N, tensorrt and tensorrt:N; N "
                "counts from 0.",
                way_out="Take 'auto', or run 'smartscope doctor' to see what is here.",
            )
        return cls(kind, int(number or 0))

    @property
    def must(self) -> str:
        """The device that has to be there; ``""`` for ``auto``, which may fall back."""
        return "" if self.kind == "auto" else self.kind

    def providers(
        self, available: Sequence[str], *, graph: bool = False
    ) -> list[Provider]:
        """Return what to ask of onnxruntime, the best first.

        Parameters
        ----------
        available : Sequence of str
            What the installed onnxruntime was built with.
        graph : bool
            Asks CUDA to record what it does in the first run and to repeat that.
        """
        wanted = {
            "auto": (CUDA, CPU),
            "cpu": (CPU,),
            "cuda": (CUDA, CPU),
            "tensorrt": (TENSORRT, CUDA, CPU),
        }[self.kind]
        return [
            (p, options) if (options := self._options(p, graph)) else p
            for p in wanted
            if p in available
        ]

    def _options(self, provider: str, graph: bool) -> dict[str, Any]:
        if provider == CUDA:
            return {
                **({"enable_cuda_graph": "1"} if graph else {}),
                "device_id": self.number,
                # the best algorithm is looked for once, in the warm-up
                "cudnn_conv_algo_search": "EXHAUSTIVE",
                "cudnn_conv_use_max_workspace": "1",
                # float32 stays float32: tensor cores would cut it to 10 bits
                "use_tf32": "0",
            }
        if provider == TENSORRT:
            return {"device_id": self.number, "trt_fp16_enable": False}
        return {}

    def missing(self, printed: str) -> str:
        """Say why the device was not obtained.

        Parameters
        ----------
        printed : str
            What onnxruntime said when it loaded the CUDA libraries.
        """
        names = list(_LIBRARIES["cuda"])
        if self.kind == "tensorrt":
            names += _LIBRARIES["tensorrt"]
        gone = []
        for name in names if os.name == "posix" else ("nvcuda.dll",):
            try:
                ctypes.CDLL(name)
            except OSError:
                gone.append(name)
        if gone:
            return f"missing {', '.join(gone)}"
        return " ".join(printed.split()) or f"no usable device {self.number}"
