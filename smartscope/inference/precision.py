"""A net in half precision, and how far that is from float32.

Only the net's own nodes become float16: what goes in and comes out stays float32, as
do the steps before it, the steps after it and the head. The conversion is that of
onnxruntime's own tools. How far the result is off is measured before the run, on the
package's test image and on the device it will run on, and kept with the run. On a CPU
onnxruntime has few operators in half precision and computes in float32 between them: it
rounds little more than the weights, and a GPU is further off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.normalize import chain
from smartscope.inference.session import ModelSession
from smartscope.inference.settings import Device
from smartscope.inference.stored_weights import read_graph
from smartscope.inference.tensor import Axis

Array = npt.NDArray[Any]

_SIDE = 256  # pixels of the sample where a package has no test image
_LOADS_THEIR_INPUTS = 4  # IR version from which weights need not be inputs


@dataclass(frozen=True, slots=True, eq=False)
class Half:
    """A net in half precision.

    Attributes
    ----------
    model : onnx.ModelProto
        It takes and gives float32.
    deviation : float
        Largest difference from float32 of any output on the sample, over the largest
        magnitude of that output.
    sample : str
        What it was measured on.
    device : str
        Where it was measured: ``cpu``, ``cuda`` or ``tensorrt``.
    """

    model: Any
    deviation: float
    sample: str
    device: str

    @classmethod
    def of(
        cls,
        package: ModelPackage,
        *,
        device: Device = "auto",
        threads: int | None = None,
    ) -> Half:
        """Convert the net of a package and measure it.

        Parameters
        ----------
        package : ModelPackage
            Whose net.
        device, threads
            As `ModelSession` takes them: where it will run.

        Raises
        ------
        smartscope.errors.Refused
            If it cannot be converted, cannot run on the sample, or its numbers are too
            large for half precision.
        """
        model = halved(read_graph(package.onnx.path), package.name)
        tensor, sample = _sample(package)
        names = [p.name for p in package.onnx.outputs]
        exact, obtained = _outputs(
            package, package.onnx.path, tensor, names, device, threads
        )
        rough, _ = _outputs(
            package, model.SerializeToString(), tensor, names, device, threads
        )
        return cls(model, _deviation(package.name, exact, rough), sample, obtained)

    @property
    def notice(self) -> str:
        """What the user should know, in a sentence."""
        saves = ""
        if self.device == "cpu":
            saves = " A CPU rounds little but the weights and saves no time."
        return (
            f"The net runs in half precision; on {self.sample} it was off by "
            f"{self.deviation:.2g} of its largest value.{saves}"
        )


def halved(model: Any, name: str = "the model") -> Any:
    """Return a net with float16 inside and float32 at its inputs and outputs.

    Parameters
    ----------
    model : onnx.ModelProto
        It is not changed.
    name : str
        Of the model, for errors.

    Raises
    ------
    smartscope.errors.Refused
        If the conversion fails.
    """
    import onnx
    from onnxruntime.transformers.float16 import (  # type: ignore[import-untyped]  # it has no stubs
        convert_float_to_float16,
    )
    from onnxruntime.transformers.onnx_model import (  # type: ignore[import-untyped]  # it has no stubs
        OnnxModel,
    )

    copied = type(model)()
    copied.CopyFrom(model)
    # what is both an input and a weight would be converted anew in every run
    weights = {t.name for t in copied.graph.initializer}
    inputs = [i for i in copied.graph.input if i.name not in weights]
    del copied.graph.input[:]
    copied.graph.input.extend(inputs)
    copied.ir_version = max(copied.ir_version, _LOADS_THEIR_INPUTS)
    try:
        half = convert_float_to_float16(copied, keep_io_types=True)
        OnnxModel.graph_topological_sort(half.graph)
        onnx.checker.check_model(half)
    except Exception as e:  # whatever its Python and C++ parts raise
        raise Refused(
            f"The net of {name} cannot be brought to half precision: "
            f"{str(e).strip().splitlines()[0] if str(e).strip() else e!r}",
            rule="float16 needs a net of operators that have it.",
            way_out="Set precision: float32.",
        ) from e
    return half


def _sample(package: ModelPackage) -> tuple[Array, str]:
    """Return a tensor as the net takes it, and what it is."""
    if package.test_input is not None:
        raw, said = _read(package.test_input, package.name), "its test image"
    else:
        raw = _spots([_length(a) for a in package.input.axes], package.input.letters)
        said = "an image of bright spots"
    tensor = chain(package.input.steps, package.input.letters)(raw)
    return np.ascontiguousarray(tensor, dtype=package.input.dtype), said


def _read(path: Path, name: str) -> Array:
    try:
        read: Array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as e:
        raise Refused(
            f"The test image {path.name} of {name} cannot be read: {e}.",
            rule="Half precision is measured on the package's test image, a .npy file.",
            way_out="Copy or download the package again, or set precision: float32.",
        ) from e
    return read


def _length(axis: Axis) -> int:
    if axis.size is not None:
        return axis.size
    return axis.padded(_SIDE if axis.letter in "yx" else 1) or 1


def _spots(lengths: Sequence[int], letters: str) -> Array:
    """Return counts: spots on a background, with the noise of the photons."""
    rng = np.random.default_rng(0)
    place = np.indices(tuple(lengths), np.float32)
    wave = np.ones(tuple(lengths), np.float32)
    for letter in "yx":
        if letter in letters:
            wave *= np.sin(place[letters.index(letter)] / 8) ** 4
    return rng.poisson(100 + 2000 * wave).astype(np.uint16)


def _outputs(
    package: ModelPackage,
    source: Any,
    tensor: Array,
    names: Sequence[str],
    device: Device,
    threads: int | None,
) -> tuple[list[Array], str]:
    session = ModelSession(source, name=package.name, device=device, threads=threads)
    feeds = {package.onnx.inputs[0].name: tensor}
    try:
        return session.run(feeds, names), session.obtained
    except AnalysisFailed as e:
        raise Refused(
            f"The model {package.name} cannot run on {tensor.shape} values, on which "
            f"its precision is measured: {e.what}",
            rule="How far half precision is from float32 is measured before the run.",
            way_out="Set precision: float32, or pack the model with a test image.",
        ) from e


def _deviation(name: str, exact: Sequence[Array], rough: Sequence[Array]) -> float:
    largest = 0.0
    for one, other in zip(exact, rough, strict=True):
        known = np.isfinite(one)
        if not np.isfinite(other[known]).all():
            raise Refused(
                f"The model {name} gives values that are not finite in half precision.",
                rule="Numbers in half precision are at most 65504.",
                way_out="Set precision: float32.",
            )
        one, other = (a[known].astype(np.float64) for a in (one, other))
        most = float(np.abs(one).max(initial=0.0)) or 1.0
        largest = max(largest, float(np.abs(one - other).max(initial=0.0)) / most)
    return largest
