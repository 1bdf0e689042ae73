"""bioimage.io packages: the only file that knows ``bioimageio.spec``.

Descriptions 0.4 and 0.5 become the tensors of ``tensor.py``. Files that a package names
and only the web has are never asked for: the ONNX weights beside it are all we need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from smartscope.errors import Refused
from smartscope.inference.bioimage_0_4 import tensor_0_4
from smartscope.inference.tensor import Axis, Step, TensorSpec, ends_in_probability

DESCRIPTIONS = ("bioimageio.yaml", "rdf.yaml")

_LETTERS = {"batch": "b", "channel": "c", "time": "t", "index": "i"}
_MICRONS = {"nanometer": 1e-3, "micrometer": 1.0, "millimeter": 1e3}


@dataclass(frozen=True, slots=True)
class Description:
    """What a package says, as far as it matters here."""

    name: str
    text: str
    version: str
    weights: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    pixel_size_um: float | None
    test_input: Path | None
    test_output: Path | None
    config: Mapping[str, Any]


def description_file(folder: Path) -> Path | None:
    """Return the description in a package folder, None if it is no package."""
    return next((folder / n for n in DESCRIPTIONS if (folder / n).is_file()), None)


def read_description(folder: Path) -> Description:
    """Read a package folder, offline.

    Raises
    ------
    smartscope.errors.Refused
        If it is no valid package, has no ONNX weights, or describes tensors that a
        frame cannot become.
    """
    file = description_file(folder)
    if file is None:
        raise Refused(
            f"{folder} is no bioimage.io package.",
            rule=f"A package folder holds {' or '.join(DESCRIPTIONS)}.",
            way_out="Give the folder that holds it, or a .onnx file.",
        )
    described = _validated(file)
    where = f"The package {folder.name}"
    if described.type != "model":
        raise Refused(
            f"{where} describes a {described.type}, not a model.",
            rule="Frames are looked at by a model.",
            way_out="Give the folder of a model.",
        )
    if described.weights.onnx is None:
        kinds = [k for k, v in described.weights if v is not None]
        raise Refused(
            f"{where} has no ONNX weights (only {', '.join(kinds)}).",
            rule="smartscope runs ONNX.",
            way_out="Export the model to ONNX and add it to the package.",
        )
    old = str(described.format_version).startswith("0.4")
    make = tensor_0_4 if old else _tensor_0_5
    inputs = tuple(make(t, where, ()) for t in described.inputs)
    outputs = tuple(make(t, where, described.inputs) for t in described.outputs)
    tests = _test_files_0_4(described) if old else _test_files_0_5(described)
    return Description(
        name=described.name,
        text=described.description,
        version=str(described.version or ""),
        weights=folder / str(described.weights.onnx.source),
        inputs=inputs,
        outputs=outputs,
        pixel_size_um=None if old else _pixel_size_um(described.inputs[0]),
        test_input=_there(folder, tests[0]),
        test_output=_there(folder, tests[1]),
        config=_plain(described.config),
    )


_FOLLOWS = "A package follows the bioimage.io specification 0.4 or 0.5."
_AGAIN = "Correct what is named, or fetch or export the package again."


def _validated(file: Path) -> Any:
    try:
        from bioimageio.spec import InvalidDescr, ValidationContext, build_description
    except ImportError as e:
        raise Refused(
            f"{file.parent} is a bioimage.io package and bioimageio.spec is missing.",
            rule="A package is checked before it is used.",
            way_out='Run: pip install "smartscope[cpu]"',
        ) from e
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise Refused(
            f"{file} cannot be read: {e}.", rule=_FOLLOWS, way_out=_AGAIN
        ) from e
    if not isinstance(content, dict):
        raise Refused(
            f"{file} holds no keys and values.", rule=_FOLLOWS, way_out=_AGAIN
        )
    # Its own loader leaves the file open (a ResourceWarning) and may look online.
    described = build_description(
        content,
        context=ValidationContext(
            root=file.parent,
            file_name=file.name,
            perform_io_checks=False,
            log_warnings=False,
        ),
    )
    if isinstance(described, InvalidDescr):
        errors = [
            f"{'.'.join(map(str, e.loc))}: {e.msg}"
            for detail in described.validation_summary.details
            for e in detail.errors
        ]
        raise Refused(
            f"{file} is not a valid bioimage.io description: {'; '.join(errors[:3])}.",
            rule=_FOLLOWS,
            way_out=_AGAIN,
        )
    return described


def _plain(config: Any) -> Mapping[str, Any]:
    if hasattr(config, "model_dump"):
        config = config.model_dump(mode="json")
    return config if isinstance(config, Mapping) else {}


def _there(folder: Path, name: Any) -> Path | None:
    """Return a file of the package if it is there; the web is not asked."""
    if name is None or str(name).startswith(("http:", "https:")):
        return None
    file = folder / str(name)
    return file if file.is_file() else None


def _test_files_0_5(described: Any) -> tuple[Any, Any]:
    first = described.inputs[0].test_tensor, described.outputs[0].test_tensor
    source_in, source_out = (None if t is None else t.source for t in first)
    return source_in, source_out


def _test_files_0_4(described: Any) -> tuple[Any, Any]:
    return described.test_inputs[0], described.test_outputs[0]


def _tensor_0_5(tensor: Any, where: str, inputs: Sequence[Any]) -> TensorSpec:
    axes = tuple(_axis_0_5(a, where, inputs) for a in tensor.axes)
    output = hasattr(tensor, "postprocessing")
    listed = tensor.postprocessing if output else tensor.preprocessing
    steps = tuple(
        Step(str(s.id), _letters(s.kwargs.model_dump() if hasattr(s, "kwargs") else {}))
        for s in listed
    )
    data = tensor.data if not isinstance(tensor.data, Sequence) else tensor.data[0]
    span = getattr(data, "range", None)
    return TensorSpec(
        name=str(tensor.id),
        axes=axes,
        dtype=str(getattr(data, "type", "float32")),
        steps=steps,
        probability=output
        and (ends_in_probability(steps) or tuple(span or ()) == (0, 1)),
    )


def _axis_0_5(axis: Any, where: str, inputs: Sequence[Any]) -> Axis:
    letter = _LETTERS.get(axis.type, str(axis.id))
    if letter == "b":
        return Axis("b", 1)
    if letter == "c":
        names = tuple(map(str, axis.channel_names))
        return Axis("c", len(names), names=names)
    size, minimum, step, stride = axis.size, 1, 1, 1.0
    if hasattr(size, "tensor_id"):
        target = _referenced(size, inputs)
        if target is None or size.offset:
            raise Refused(
                f"{where}: the size of axis {letter} follows '{size.tensor_id}' with "
                f"an offset of {size.offset}.",
                rule="Only sizes that follow an input without an offset can be mapped "
                "back to the frame.",
                way_out="Export the model with padding.",
            )
        stride = float(axis.scale) / float(target.scale)
        size = target.size
    if hasattr(size, "min") and hasattr(size, "step"):
        minimum, step, size = int(size.min), int(size.step), None
    elif size is not None and not isinstance(size, int):
        raise Refused(
            f"{where}: the size of axis {letter} depends on the data.",
            rule="A dense output has the frame's size.",
            way_out="Take a model that gives a map.",
        )
    return Axis(letter, size, minimum, step, stride=stride)


def _referenced(size: Any, inputs: Sequence[Any]) -> Any:
    return next(
        (
            a
            for t in inputs
            if str(t.id) == str(size.tensor_id)
            for a in t.axes
            if str(a.id) == str(size.axis_id)
        ),
        None,
    )


def _pixel_size_um(tensor: Any) -> float | None:
    for axis in tensor.axes:
        if str(axis.id) == "x" and axis.unit in _MICRONS:
            return float(axis.scale) * _MICRONS[str(axis.unit)]
    return None


def _letters(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Turn names of axes in the arguments of a step into letters."""

    def letter(name: Any) -> str:
        return _LETTERS.get(str(name), str(name))

    told = dict(kwargs)
    if told.get("axes") is not None:
        told["axes"] = [letter(a) for a in told["axes"]]
    if told.get("axis") is not None:
        told["axis"] = letter(told["axis"])
    return told
