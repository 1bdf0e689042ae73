"""A model as it lies on disk: the weights, and what is known about them.

Three kinds are read: shipped models by name, bioimage.io package folders, and a bare
``.onnx`` with a card beside it. Nothing runs here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from smartscope.errors import Refused, nearest
from smartscope.inference.bioimage import (
    DESCRIPTIONS,
    Description,
    description_file,
    read_description,
)
from smartscope.inference.card import HeadCard, ModelCard, parse_card, read_card
from smartscope.inference.onnx_file import OnnxFile, Port
from smartscope.inference.tensor import Axis, TensorSpec

_DTYPES = frozenset(
    {"float32", "float64", "float16", "uint8", "uint16", "int16", "int32"}
)


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
        In the order of axes that the graph has.
    head : HeadCard
        How the output is read, as far as the package says.
    pixel_size_um : float or None
        Of the images it was made for.
    test_input, test_output : Path or None
        Tensors (``.npy``) it must reproduce.
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
            Name of a shipped model, path of a bioimage.io package folder (or of the
            description in it) or of a ``.onnx`` file.

        Raises
        ------
        smartscope.errors.Refused
            If it is missing or broken, has no ONNX weights, describes another graph
            than it has, or cannot take one frame of one channel.
        """
        path = _find(name_or_path)
        package = _from_folder(path) if path.is_dir() else _from_file(path)
        _check_fits(package)
        return package


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
    if path.name in DESCRIPTIONS:
        return path.parent
    if path.suffix == ".zip":
        raise Refused(
            f"{path} is a zipped package.",
            rule="A bioimage.io package is read from its folder.",
            way_out="Unpack it and name the folder.",
        )
    return path


def _from_folder(folder: Path) -> ModelPackage:
    described = read_description(folder)
    where = f"The package {folder.name}"
    if len(described.inputs) != 1:
        names = ", ".join(t.name for t in described.inputs)
        raise Refused(
            f"{where} takes {len(described.inputs)} inputs ({names}).",
            rule="A frame is one input.",
            way_out="Take a model with one input.",
        )
    onnx = OnnxFile.read(described.weights)
    head = parse_card(
        HeadCard,
        described.config.get("smartscope") or {},
        f"{where}: config: smartscope",
    )
    package = ModelPackage(
        name=described.name,
        onnx=onnx,
        input=_as_graph(described.inputs[0], onnx.inputs[0], where),
        output=_as_graph(described.outputs[0], onnx.outputs[0], where),
        head=head,
        version=described.version,
        pixel_size_um=described.pixel_size_um,
        test_input=described.test_input,
        test_output=described.test_output,
    )
    _check_counts(described, onnx, where)
    return package


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
    return TensorSpec(
        name=tensor.name,
        axes=tensor.axes,
        dtype=port.dtype,
        steps=tensor.steps,
        probability=tensor.probability,
    )


def _from_file(path: Path) -> ModelPackage:
    onnx = OnnxFile.read(path)
    card_path = path.with_suffix(".yaml")
    card = read_card(card_path) if card_path.is_file() else ModelCard()
    where = f"The model {path.name}"
    if len(onnx.inputs) != 1:
        raise Refused(
            f"{where} takes {len(onnx.inputs)} inputs "
            f"({', '.join(p.name for p in onnx.inputs)}).",
            rule="A frame is one input.",
            way_out="Take a model with one input.",
        )
    letters = card.axes or _guess_axes(onnx.inputs[0], where, card_path)
    return ModelPackage(
        name=card.name or path.stem,
        onnx=onnx,
        input=TensorSpec(
            name=onnx.inputs[0].name,
            axes=_axes(letters, onnx.inputs[0], where, step=card.step),
            dtype=onnx.inputs[0].dtype,
            steps=tuple(s.step() for s in card.normalisation),
        ),
        output=TensorSpec(
            name=onnx.outputs[0].name,
            axes=_axes(
                card.output_axes or letters, onnx.outputs[0], where, stride=card.stride
            ),
            dtype=onnx.outputs[0].dtype,
            steps=tuple(s.step() for s in card.postprocessing),
            probability=onnx.last_op in {"Sigmoid", "Softmax"}
            or any(s.id in {"sigmoid", "softmax"} for s in card.postprocessing),
        ),
        head=HeadCard(**{k: getattr(card, k) for k in HeadCard.model_fields}),
        pixel_size_um=card.pixel_size_um,
    )


def _guess_axes(port: Port, where: str, card_path: Path) -> str:
    rank = len(port.shape) if port.shape is not None else 0
    if rank == 4 and port.shape is not None:
        last_is_channel = port.shape[3] == 1 and port.shape[1] != 1
        return "byxc" if last_is_channel else "bcyx"
    if rank == 2:
        return "yx"
    raise Refused(
        f"{where}: its input '{port.name}' has "
        + (f"rank {rank}" if rank else "no stated rank")
        + ", and no card says which axis is which.",
        rule="Without a card an image is (y, x) or has 4 axes.",
        way_out=f"Write a card {card_path} with 'axes: ...', letters of bcyxtzi.",
    )


def _axes(
    letters: str, port: Port, where: str, *, step: int = 1, stride: int = 1
) -> tuple[Axis, ...]:
    shape = port.shape if port.shape is not None else (None,) * len(letters)
    if len(shape) != len(letters):
        raise Refused(
            f"{where}: '{port.name}' has rank {len(shape)} and its card says "
            f"'{letters}'.",
            rule="The card names every axis of the graph.",
            way_out="Correct 'axes' or 'output_axes' of the card.",
        )
    return tuple(
        Axis(
            letter,
            size if letter not in "bt" or size is not None else 1,
            minimum=step,
            step=step if letter in "yx" else 1,
            stride=float(stride) if letter in "yx" else 1.0,
        )
        for letter, size in zip(letters, shape, strict=True)
    )


def _check_fits(package: ModelPackage) -> None:
    """Refuse a model that a frame (Y, X) of one channel can never fit."""
    where = f"The model {package.name}"
    if package.input.dtype not in _DTYPES:
        raise Refused(
            f"{where} takes '{package.input.dtype}' images.",
            rule=f"A frame can become {', '.join(sorted(_DTYPES))}.",
            way_out="Export the model with one of them as input.",
        )
    for tensor in (package.input, package.output):
        missing = [a for a in "yx" if tensor.axis(a) is None]
        if missing:
            raise Refused(
                f"{where}: '{tensor.name}' has the axes '{tensor.letters}', without "
                f"{' and '.join(missing)}.",
                rule="An image goes in and an image of the same field comes out.",
                way_out="Take a model for 2-D images.",
            )
    for axis in package.input.axes:
        if axis.letter not in "yx" and axis.size not in (None, 1):
            what = "channels" if axis.letter == "c" else f"planes of axis {axis.letter}"
            raise Refused(
                f"{where} takes {axis.size} {what}; a frame has one.",
                rule="A model sees one frame of one channel.",
                way_out="Take a model for single-channel 2-D images.",
            )
