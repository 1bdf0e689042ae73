"""Does a package do what it says: its own test tensors, run and compared.

A published package may name another pre-processing than its weights were trained with.
It runs, and finds nonsense; only its test tensors tell.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference.bioimage import Tolerance
from smartscope.inference.deviation import Deviation, compare, finite
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.normalize import chain
from smartscope.inference.session import ModelSession
from smartscope.inference.tensor import TensorSpec


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the test tensors say of a package.

    Attributes
    ----------
    state : {"reproduced", "not reproduced", "untested"}
        ``untested``: it has no test tensors, or none that the graph alone makes.
    deviations : tuple of Deviation
        Of each output with a test tensor.
    reason : str
        Why it is untested.
    """

    state: Literal["reproduced", "not reproduced", "untested"]
    deviations: tuple[Deviation, ...] = ()
    reason: str = ""

    @property
    def absolute(self) -> float:
        """Largest absolute deviation; 0 if untested."""
        return max((d.absolute for d in self.deviations), default=0.0)

    @property
    def relative(self) -> float:
        """Largest relative deviation; 0 if untested."""
        return max((d.relative for d in self.deviations), default=0.0)

    def told(self) -> str:
        """Return what deviates, in words; ``""`` if nothing does."""
        return "; ".join(
            f"'{d.output}': expected {d.expected}, found {d.found}, largest deviation "
            f"{d.absolute:.3g} ({d.relative:.3g} of the largest value), "
            f"{100 * d.outside:.3g} % of the values outside the tolerance"
            for d in self.deviations
            if not d.within
        )

    def to_record(self) -> dict[str, Any]:
        """Return plain values; no deviation where none was measured."""
        return {
            "verdict": self.state,
            "absolute": finite(self.absolute) if self.deviations else None,
            "relative": finite(self.relative) if self.deviations else None,
            "outputs": [d.to_record() for d in self.deviations],
            "reason": self.reason,
        }


def verify(package: ModelPackage) -> Verdict:
    """Run a package on its own test input, on the CPU, and compare.

    A verdict is kept for this process: the same weights, description and test tensors
    on the same onnxruntime give the same.

    Raises
    ------
    smartscope.errors.Refused
        If a test tensor cannot be read, or onnxruntime cannot take the graph.
    """
    import onnxruntime  # type: ignore[import-untyped]  # it has no stubs

    tests = hashlib.sha256()
    for path in (package.test_input, *package.test_outputs):
        tests.update(b"" if path is None else path.read_bytes())
    key = (
        package.sha256,
        package.described_sha256,
        tests.hexdigest(),
        onnxruntime.__version__,
    )
    if key not in _VERDICTS:
        _VERDICTS[key] = _verify(package)
    return _VERDICTS[key]


_VERDICTS: dict[tuple[str, ...], Verdict] = {}


def require_reproduced(package: ModelPackage, *, accept: bool = False) -> Verdict:
    """Refuse a package that does not reproduce its test tensors.

    Parameters
    ----------
    package : ModelPackage
        One without test tensors passes.
    accept : bool
        Take it all the same; the verdict says what it is.

    Raises
    ------
    smartscope.errors.Refused
        With what was expected, what was found and what to check.
    """
    verdict = verify(package)
    if verdict.state != "not reproduced" or accept:
        return verdict
    raise Refused(
        f"The package {package.name} does not reproduce its own test output: "
        f"{verdict.told()}.",
        rule="A model gives what its package says it gives, before it looks at a "
        "specimen.",
        way_out="Check in the package: "
        f"{_to_check(package)}. 'smartscope models test {package.source}' tells more; "
        "--unverified (analysis: unverified: true) takes it as it is, and the run says "
        "so for ever.",
    )


def _to_check(package: ModelPackage) -> str:
    def steps(tensor: TensorSpec) -> str:
        said = [
            s.id + "".join(f" {k}={v}" for k, v in s.kwargs.items() if v is not None)
            for s in tensor.steps
        ]
        return ", ".join(said) or "none"

    return (
        f"the pre-processing ({steps(package.input)}), the processing after the graph "
        f"({steps(package.output)}), the axes ({package.input.letters} in, "
        f"{package.output.letters} out), the weights (opset {package.onnx.opset})"
    )


def _verify(package: ModelPackage) -> Verdict:
    if package.test_input is None or all(t is None for t in package.test_outputs):
        return Verdict("untested", reason="It has no test tensors.")
    if package.shows_labels:
        return Verdict(
            "untested",
            reason="Its test output shows labels, which the head makes, not the graph.",
        )
    given = _read(package.test_input, package)
    if given.ndim != len(package.input.axes):
        raise Refused(
            f"The test input of {package.name} has the shape {given.shape}, and the "
            f"input the axes '{package.input.letters}'.",
            rule="A test tensor has the axes of its tensor.",
            way_out="Have the package made again by its author, or accept it with "
            "--unverified.",
        )
    tensor = chain(package.input.steps, package.input.letters)(given)
    feeds = {
        package.onnx.inputs[0].name: np.ascontiguousarray(
            tensor, dtype=package.input.dtype
        )
    }
    compared = [
        (spec, port.name, path)
        for spec, port, path in zip(
            package.outputs, package.onnx.outputs, package.test_outputs, strict=False
        )
        if path is not None
    ]
    session = ModelSession(package.onnx.path, name=package.name, device="cpu")
    try:
        outputs = session.run(feeds, [name for _, name, _ in compared])
    except AnalysisFailed as e:
        raise Refused(
            f"The package {package.name} cannot run on its own test input of shape "
            f"{given.shape}: {e.what}",
            rule="A package takes its own test input.",
            way_out=f"Check in the package: {_to_check(package)}.",
        ) from e
    deviations = tuple(
        compare(
            spec.name,
            _read(path, package),
            chain(spec.steps, spec.letters)(output, {package.input.name: given}),
            package.tolerances.get(spec.name, Tolerance()),
        )
        for (spec, _, path), output in zip(compared, outputs, strict=True)
    )
    good = all(d.within for d in deviations)
    return Verdict("reproduced" if good else "not reproduced", deviations)


def _read(path: Path, package: ModelPackage) -> npt.NDArray[Any]:
    try:
        read: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as e:
        raise Refused(
            f"The test tensor {path.name} of {package.name} cannot be read: {e}.",
            rule="Test tensors are .npy files.",
            way_out="Copy or download the package again.",
        ) from e
    return read
