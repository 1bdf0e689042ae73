"""What a model says about itself, and the first card for one that has none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from smartscope.errors import Refused
from smartscope.inference.bare_onnx import guess_axes
from smartscope.inference.heads.reading import head_of
from smartscope.inference.heads.stardist import gives_rays
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.onnx_file import OnnxFile, Port
from smartscope.inference.tensor import TensorSpec

_MOST_POOLINGS = 10
_INTEGERS = frozenset({"uint8", "uint16", "int16", "int32"})


def inspect_model(name_or_path: str | Path) -> dict[str, Any]:
    """Return everything a package says, as plain values.

    Raises
    ------
    smartscope.errors.Refused
        If it cannot be read.
    """
    package = ModelPackage.load(name_or_path)
    return {
        "name": package.name,
        "version": package.version,
        "source": str(package.source),
        "sha256": package.sha256,
        "opset": package.onnx.opset,
        "pixel_size_um": package.pixel_size_um,
        "head": _read_by(package)
        | package.head.model_dump(mode="json", exclude_unset=True),
        "input": _tensor(package.input),
        "outputs": [_tensor(t) for t in package.outputs],
        "graph": {
            "inputs": [_port(p) for p in package.onnx.inputs],
            "outputs": [_port(p) for p in package.onnx.outputs],
        },
        "test_tensors": package.test_input is not None
        and any(t is not None for t in package.test_outputs),
    }


def _read_by(package: ModelPackage) -> dict[str, Any]:
    """Return the head that the output itself tells, if it does."""
    try:
        return {"head": head_of(package)}
    except Refused:
        return {}


def _tensor(tensor: TensorSpec) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "axes": tensor.letters,
        "dtype": tensor.dtype,
        "sizes": {
            a.letter: a.size
            if a.size is not None
            else {"min": a.minimum, "step": a.step}
            for a in tensor.axes
        },
        "stride": {a.letter: a.stride for a in tensor.axes if a.stride != 1},
        "halo": {a.letter: a.halo for a in tensor.axes if a.halo},
        "processing": [{"id": s.id, "kwargs": dict(s.kwargs)} for s in tensor.steps],
    }


def _port(port: Port) -> dict[str, Any]:
    shape = None if port.shape is None else list(port.shape)
    return {"name": port.name, "dtype": port.dtype, "shape": shape}


@dataclass(frozen=True, slots=True)
class FirstCard:
    """A card as far as the graph tells it.

    Attributes
    ----------
    content : dict
        What the graph tells.
    open_questions : tuple of str
        What only a person knows.
    """

    content: dict[str, Any]
    open_questions: tuple[str, ...]

    @classmethod
    def of(cls, path: Path) -> FirstCard:
        """Look at the graph in a file.

        Raises
        ------
        smartscope.errors.Refused
            If it is no ONNX, or its ranks do not tell which axis is which.
        """
        import onnx

        file = OnnxFile.read(path)
        graph = onnx.load(str(path), load_external_data=False).graph
        given, got = file.inputs[0], file.outputs[0]
        letters = _axes(given, path)
        content: dict[str, Any] = {"name": path.stem, "axes": letters}
        stride = _stride(given, got, letters)
        head, output_axes = _head(file, letters, stride)
        if output_axes != letters:
            content["output_axes"] = output_axes
        free = given.shape is not None and any(
            size is None
            for letter, size in zip(letters, given.shape, strict=True)
            if letter in "yx"
        )
        step = _step(graph) if free else 1
        if step > 1:
            content["step"] = step
        if stride > 1:
            content["stride"] = stride
        questions = [
            "pixel_size_um: µm per pixel of the images it was trained on",
        ]
        planes = (
            None
            if given.shape is None or "c" not in letters
            else given.shape[letters.index("c")]
        )
        if planes != 1 and "c" in letters:
            content["channels_are"] = "channels"
            questions.append(
                f"channels_are: the {f'{planes} ' if planes else ''}channels are those "
                "of the specimen, in this order; or 'frames', the last ones of one "
                "channel"
            )
        if given.dtype in _INTEGERS:
            content["normalisation"] = [
                {"id": "ensure_dtype", "kwargs": {"dtype": given.dtype}}
            ]
        else:
            axes = [a for a in letters if a in "yx"]
            content["normalisation"] = [
                {"id": "zero_mean_unit_variance", "kwargs": {"axes": axes}}
            ]
            questions.insert(
                0,
                "normalisation: a guess; it must be the one of the training "
                "(scale_range, zero_mean_unit_variance, ...), or empty",
            )
        if head is not None:
            content["head"] = head
            if head in {"peaks", "components"}:
                content["threshold"] = 0.5
            questions.append(f"head: a guess ({head}), by the output's shape")
        else:
            questions.append(
                "head: what reads the output; none if it restores the image"
            )
        if head == "stardist" and free:
            questions.append("stride: pixels of the image for each point of the grid")
        if head in {"boxes", "classes"}:
            questions.append("classes: their names, in the order of the output")
        return cls(content, tuple(questions))

    def text(self) -> str:
        """Return it as YAML; what is open stands above, as comments."""
        lines = [f"# ask: {question}\n" for question in self.open_questions]
        body = yaml.safe_dump(self.content, sort_keys=False, allow_unicode=True)
        return "# Written by 'smartscope models inspect'.\n" + "".join(lines) + body


def write_card(path: Path) -> Path:
    """Write the first card beside an ONNX file.

    Raises
    ------
    smartscope.errors.Refused
        If there is one already, or the file is no ONNX.
    """
    card = path.with_suffix(".yaml")
    if path.suffix != ".onnx":
        raise Refused(
            f"{path} is no .onnx file.",
            rule="A card stands beside a bare .onnx file; a package describes itself.",
            way_out="Give the .onnx file.",
        )
    if card.exists():
        raise Refused(
            f"There is a card already: {card}.",
            rule="A card is never overwritten.",
            way_out="Correct that one, or move it away.",
        )
    text = FirstCard.of(path).text()
    try:
        card.write_text(text, encoding="utf-8")
    except OSError as e:
        raise Refused(
            f"{card} cannot be written: {e.strerror}.",
            rule="A card stands beside its .onnx file.",
            way_out="Copy the file to a folder of your own.",
        ) from e
    return card


def _axes(port: Port, path: Path) -> str:
    rank = len(port.shape) if port.shape is not None else 0
    if rank == 3 and port.shape is not None:
        return "byx" if port.shape[0] == 1 else "cyx"
    return guess_axes(port, f"The model {path.name}", path.with_suffix(".yaml"))


def _stride(given: Port, got: Port, letters: str) -> int:
    """Return the input's size over the output's, where both are fixed."""
    if given.shape is None or got.shape is None or len(given.shape) != len(got.shape):
        return 1
    i = letters.index("x")
    large, small = given.shape[i], got.shape[i]
    return large // small if large and small and large % small == 0 else 1


def _head(file: OnnxFile, letters: str, stride: int) -> tuple[str | None, str]:
    """Return the likely head and the axes of the output."""
    shape = file.outputs[0].shape
    rank = len(letters) if shape is None else len(shape)
    if rank == 2 and len(letters) > 2:
        return "classes", "bc"
    if rank == 3 and len(letters) > 3:
        return "boxes", _box_axes(shape or ())
    if rank != len(letters):
        raise Refused(
            f"{file.path}: its output has rank {rank} and its input {len(letters)}.",
            rule="A first card knows images, boxes (rank 3) and classes (rank 2).",
            way_out="Write the card by hand.",
        )
    channels = (
        None if shape is None or "c" not in letters else shape[letters.index("c")]
    )
    if (channels or 0) > 16 or gives_rays(file.outputs, letters):
        return "stardist", letters
    if file.last_op in {"Sigmoid", "Softmax"}:
        return ("peaks" if stride > 1 else "components"), letters
    return None, letters


def _box_axes(shape: tuple[int | None, ...]) -> str:
    """Boxes are many and what is said of one is little: the longer axis counts them."""
    second, third = shape[1], shape[2]
    if third is not None and third <= 6:
        return "bic"
    return "bic" if second and third and second > third else "bci"


def _step(graph: Any) -> int:
    """Return what the poolings of a graph multiply up to: a safe step of its sizes."""
    step = 1
    for node in graph.node:
        strides = next(
            (list(a.ints) for a in node.attribute if a.name == "strides"), []
        )
        if node.op_type in {"MaxPool", "AveragePool", "Conv"} and len(strides) == 2:
            step *= max(strides)
    return step if step <= 2**_MOST_POOLINGS and math.log2(step) % 1 == 0 else 1
