"""Memory that a GPU may read by itself, without the driver copying it first.

The analysis process gets its frames in one slot of shared memory. Locked once, a frame
goes from there over the bus at full speed; unlocked, the driver copies it piece by
piece into memory of its own. Done with the CUDA runtime that onnxruntime has loaded;
where it has none, there is nothing to do.

Not tried on a GPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

_RUNTIMES = ("libcudart.so.13", "libcudart.so.12")
_PORTABLE = 1  # cudaHostRegisterPortable: for every GPU of the process


@contextlib.contextmanager
def page_locked(memory: Any) -> Iterator[bool]:
    """Lock memory for as long as the context lasts.

    Enter it after the models were loaded, and leave it before the memory is given back.

    Parameters
    ----------
    memory : buffer
        Such as ``SharedMemory.buf``.

    Yields
    ------
    bool
        True if it is locked; False without a GPU, or if the system refuses: frames
        then travel all the same, more slowly.
    """
    runtime = _loaded_runtime()
    if runtime is None:
        yield False
        return
    view = np.frombuffer(memory, np.uint8)
    address, size = ctypes.c_void_p(view.ctypes.data), ctypes.c_size_t(view.nbytes)
    del view  # what still looks at shared memory keeps it from being closed
    locked = runtime.cudaHostRegister(address, size, ctypes.c_uint(_PORTABLE)) == 0
    if not locked:
        runtime.cudaGetLastError()  # else onnxruntime would take it for its own
    try:
        yield locked
    finally:
        if locked:
            runtime.cudaHostUnregister(address)


def _loaded_runtime() -> Any:
    """Return the CUDA runtime of this process, None if nobody has loaded one."""
    if not hasattr(os, "RTLD_NOLOAD"):
        return None
    for name in _RUNTIMES:
        try:
            return ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        except OSError:
            continue
    return None
