"""A model as it lies on disk: the weights, and what is known about them.

Three kinds are read: shipped models by name, bioimage.io packages (folder or zip), and
a bare ``.onnx`` with a card beside it. Nothing runs here.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

from smartscope.errors import Refused, nearest
from smartscope.inference.bare_onnx import BareOnnx
from smartscope.inference.bioimage import (
    Description,
    Tolerance,
    description_file,
    read_description,
)
from smartscope.inference.card import HeadCard, parse_card
from smartscope.inference.onnx_checks import check_opset
from smartscope.inference.onnx_file import OnnxFile, Port
from smartscope.inference.package_zip import Unpacked
from smartscope.inference.tensor import TensorSpec, with_offsets

_DTYPES = frozenset(
    {"float32", "float64", "float16", "uint8", "uint16", "int16", "int32"}
)
_SPARSE = frozenset({"boxes", "classes"})
"""Heads whose output is no image."""


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A model and what is known about it.

    Attributes
    ----------
    name : str
        For people.
    onnx : OnnxFile
        The weights and the graph's ports.
    input, output : TensorSpec
        In the order of axes that the graph has; the first output.
    head : HeadCard
        How the output is read, as far as the package says.
    pixel_size_um : float or None
        Of the images it was made for.
    test_input, test_output : Path or None
        Tensors (``.npy``) it must reproduce, of the first output.
    outputs : tuple of TensorSpec
        All that are described, in the order of the graph.
    test_outputs : tuple of Path or None
        Of each of them.
    tolerances : Mapping of str to Tolerance
        By output: what the package allows; otherwise the specification's.
    shows_labels : bool
        The described output is what a head makes of the graph's, so that its test
        tensor says nothing of the graph.
    source : Path
        What was named: the folder, the zip or the file.
    described_sha256 : str
        Over the description or the card; with `sha256` it is all a result depends on.
    unpacked : Unpacked or None
        Of a zip: the files stay as long as this is held.
    """

    name: str
    onnx: OnnxFile
    input: TensorSpec
    output: TensorSpec
    head: HeadCard = field(default_factory=HeadCard)
    version: str = ""
    pixel_size_um: float | None = None
    test_input: Path | None = None
    test_output: Path | None = None
    outputs: tuple[TensorSpec, ...] = ()
    test_outputs: tuple[Path | None, ...] = ()
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    shows_labels: bool = False
    source: Path = Path()
    described_sha256: str = ""
    unpacked: Unpacked | None = None

    @property
    def sha256(self) -> str:
        """Hash of the weights."""
        return self.onnx.sha256

    @classmethod
    def load(cls, name_or_path: str | Path) -> ModelPackage:
        """Read a model without running it.

        Parameters
        ----------
        name_or_path : str or Path
            Name of a shipped model, path of a bioimage.io package (folder, the
            description in it, or zip) or of a ``.onnx`` file.

        Raises
        ------
        smartscope.errors.Refused
            If it is missing or broken, has no ONNX weights, describes another graph
            than it has, cannot take frames of one plane, or is newer than the installed
            onnxruntime.
        """
        path = _find(name_or_path)
        if path.is_dir():
            package = _from_folder(path, path.name)
        elif path.suffix.lower() == ".zip":
            unpacked = _unpacked(path)
            package = replace(
                _from_folder(unpacked.folder, path.name), unpacked=unpacked
            )
        else:
            package = _from_file(path)
        check_opset(path, package.onnx.opset, package.onnx.ir_version)
        _check_fits(package)
        outputs = tuple(with_offsets(package.input, t) for t in package.outputs)
        return replace(package, source=path, output=outputs[0], outputs=outputs)


def shipped_models() -> dict[str, Path]:
    """Return the folders of the models that come with smartscope, by name."""
    zoo = Path(str(files("smartscope"))) / "zoo"
    return {p.name: p for p in sorted(zoo.iterdir()) if description_file(p) is not None}


def _find(name_or_path: str | Path) -> Path:
    shipped = shipped_models()
    if isinstance(name_or_path, str) and name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    if path.is_dir():
        return path
    if not path.is_file():
        raise Refused(
            f"There is no model '{name_or_path}': no shipped model has that name and "
            f"no file or folder is there.{nearest(str(name_or_path), shipped)}",
            rule=f"Shipped models: {', '.join(shipped)}.",
            way_out="Name one of them, a .onnx file or a bioimage.io package folder.",
        )
    if path.suffix == ".yaml" and description_file(path.parent) == path:
        return path.parent
    return path


# one unpacking serves everybody in this process who names the same zip
_ZIPS: weakref.WeakValueDictionary[tuple[str, int, int], Unpacked] = (
    weakref.WeakValueDictionary()
)


def _unpacked(path: Path) -> Unpacked:
    state = path.stat()
    key = (str(path.resolve()), state.st_mtime_ns, state.st_size)
    found = _ZIPS.get(key)
    if found is None:
        found = _ZIPS[key] = Unpacked(path)
    return found


def _from_folder(folder: Path, name: str) -> ModelPackage:
    described = read_description(folder, name)
    where = f"The package {name}"
    if len(described.inputs) != 1:
        names = ", ".join(t.name for t in described.inputs)
        raise Refused(
            f"{where} takes {len(described.inputs)} inputs ({names}).",
            rule="A frame is one input.",
            way_out="Take a model with one input.",
        )
    onnx = OnnxFile.read(described.weights)
    own = described.config.get("smartscope") or {}
    head = parse_card(
        HeadCard,
        {**described.head, **own} if isinstance(own, Mapping) else own,
        f"{where}: config: smartscope",
    )
    _check_counts(described, onnx, where)
    outputs = tuple(
        _as_graph(tensor, port, where)
        for tensor, port in zip(described.outputs, onnx.outputs, strict=False)
    )
    return ModelPackage(
        name=described.name,
        onnx=onnx,
        input=_as_graph(described.inputs[0], onnx.inputs[0], where),
        output=outputs[0],
        head=head,
        version=described.version,
        pixel_size_um=described.pixel_size_um,
        test_input=described.test_inputs[0],
        test_output=described.test_outputs[0],
        outputs=outputs,
        test_outputs=described.test_outputs,
        tolerances=described.tolerances,
        described_sha256=described.sha256,
        shows_labels=bool(described.head),
    )


def _check_counts(described: Description, onnx: OnnxFile, where: str) -> None:
    if len(onnx.inputs) != 1:
        raise Refused(
            f"{where} describes 1 input and its graph takes {len(onnx.inputs)} "
            f"({', '.join(p.name for p in onnx.inputs)}).",
            rule="Description and graph must agree.",
            way_out="Correct the description, or export the model again.",
        )
    if len(onnx.outputs) < len(described.outputs):
        raise Refused(
            f"{where} describes {len(described.outputs)} outputs and its graph gives "
            f"{len(onnx.outputs)}.",
            rule="Description and graph must agree.",
            way_out="Correct the description, or export the model again.",
        )


def _as_graph(tensor: TensorSpec, port: Port, where: str) -> TensorSpec:
    """Check a described tensor against the graph and give it the graph's dtype."""
    if port.shape is not None and len(port.shape) != len(tensor.axes):
        raise Refused(
            f"{where} describes '{tensor.name}' with the axes '{tensor.letters}' and "
            f"the graph's '{port.name}' has rank {len(port.shape)}.",
            rule="Description and graph must agree.",
            way_out="Correct the description, or export the model again.",
        )
    for axis, size in zip(tensor.axes, port.shape or (), strict=False):
        if size is not None and axis.size is not None and size != axis.size:
            raise Refused(
                f"{where} describes axis {axis.letter} of '{tensor.name}' with size "
                f"{axis.size} and the graph has {size}.",
                rule="Description and graph must agree.",
                way_out="Correct the description, or export the model again.",
            )
    return replace(tensor, dtype=port.dtype)


def _from_file(path: Path) -> ModelPackage:
    bare = BareOnnx.read(path)
    card = path.with_suffix(".yaml")
    told = card.read_bytes() if card.is_file() else b""
    return ModelPackage(
        name=bare.card.name or path.stem,
        onnx=bare.onnx,
        input=bare.input,
        output=bare.outputs[0],
        head=bare.head,
        pixel_size_um=bare.card.pixel_size_um,
        outputs=bare.outputs,
        test_outputs=(None,) * len(bare.outputs),
        described_sha256=hashlib.sha256(told).hexdigest(),
    )


def _check_fits(package: ModelPackage) -> None:
    """Refuse a model that frames (Y, X) can never fit."""
    where = f"The model {package.name}"
    if package.input.dtype not in _DTYPES:
        raise Refused(
            f"{where} takes '{package.input.dtype}' images.",
            rule=f"A frame can become {', '.join(sorted(_DTYPES))}.",
            way_out="Export the model with one of them as input.",
        )
    sparse = package.head.head in _SPARSE or (
        package.head.head is None and not set(package.output.letters) & {*"yx"}
    )
    for tensor in (package.input,) if sparse else (package.input, package.output):
        missing = [a for a in "yx" if tensor.axis(a) is None]
        if missing:
            raise Refused(
                f"{where}: '{tensor.name}' has the axes '{tensor.letters}', without "
                f"{' and '.join(missing)}.",
                rule="An image goes in and an image of the same field comes out.",
                way_out="Take a model for 2-D images.",
            )
    for axis in package.input.axes:
        if axis.letter not in "ctyx" and axis.size not in (None, 1):
            raise Refused(
                f"{where} takes {axis.size} planes of axis {axis.letter}; a frame has "
                "one.",
                rule="A model sees channels and frames of one plane.",
                way_out="Take a model for 2-D images.",
            )
