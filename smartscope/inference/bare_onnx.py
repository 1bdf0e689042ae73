"""A bare ``.onnx`` file: what its card says, and what the graph itself tells."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smartscope.errors import Refused
from smartscope.inference.card import HeadCard, ModelCard, read_card
from smartscope.inference.onnx_file import OnnxFile, Port
from smartscope.inference.references import of_references
from smartscope.inference.tensor import Axis, TensorSpec


@dataclass(frozen=True, slots=True)
class BareOnnx:
    """A graph and its card as the tensors of ``tensor.py``.

    Attributes
    ----------
    card : ModelCard
        Beside the file, or an empty one.
    outputs : tuple of TensorSpec
        Those the card names the axes of; at least the first.
    """

    onnx: OnnxFile
    card: ModelCard
    input: TensorSpec
    outputs: tuple[TensorSpec, ...]

    @property
    def head(self) -> HeadCard:
        """The part of the card about the head."""
        told = self.card.model_fields_set & HeadCard.model_fields.keys()
        return HeadCard(**{k: getattr(self.card, k) for k in told})

    @classmethod
    def read(cls, path: Path, card: ModelCard | None = None) -> BareOnnx:
        """Read a file and the card beside it.

        Parameters
        ----------
        path : Path
            The ``.onnx`` file.
        card : ModelCard, optional
            Instead of the one beside it.

        Raises
        ------
        smartscope.errors.Refused
            If the card contradicts the graph, or nothing says which axis is which.
        """
        onnx = OnnxFile.read(path)
        card_path = path.with_suffix(".yaml")
        if card is None:
            card = read_card(card_path) if card_path.is_file() else ModelCard()
        where = f"The model {path.name}"
        if len(onnx.inputs) != 1:
            raise Refused(
                f"{where} takes {len(onnx.inputs)} inputs "
                f"({', '.join(p.name for p in onnx.inputs)}).",
                rule="A frame is one input.",
                way_out="Take a model with one input.",
            )
        given = onnx.inputs[0]
        letters = card.axes or guess_axes(given, where, card_path)
        sigmoid = onnx.last_op in {"Sigmoid", "Softmax"} or any(
            s.id in {"sigmoid", "softmax"} for s in card.postprocessing
        )
        told = card.output_axes or _of_output(onnx.outputs[0], letters)
        listed = (told,) if isinstance(told, str) else told
        if len(listed) > len(onnx.outputs):
            raise Refused(
                f"{where}: its card names the axes of {len(listed)} outputs, and the "
                f"graph gives {len(onnx.outputs)}.",
                rule="The card names outputs that are there.",
                way_out="Correct output_axes in the card.",
            )
        outputs = tuple(
            TensorSpec(
                name=port.name,
                axes=_axes(
                    axes,
                    port,
                    where,
                    stride=card.stride,
                    halo=card.halo,
                    offset=card.offset,
                ),
                dtype=port.dtype,
                steps=tuple(s.step() for s in card.postprocessing) if i == 0 else (),
                probability=i == 0 and sigmoid,
            )
            for i, (axes, port) in enumerate(zip(listed, onnx.outputs, strict=False))
        )
        taken = TensorSpec(
            name=given.name,
            axes=_axes(letters, given, where, step=card.step),
            dtype=given.dtype,
            steps=tuple(s.step() for s in card.normalisation),
        )
        return cls(
            onnx=onnx,
            card=card,
            input=of_references(taken, [taken], where, measured_once=False),
            outputs=tuple(
                of_references(t, [taken], where, measured_once=False) for t in outputs
            ),
        )


def _of_output(port: Port, letters: str) -> str:
    """Return the axes of an output that no card names: the input's if they fit."""
    rank = len(letters) if port.shape is None else len(port.shape)
    return letters if rank == len(letters) else {2: "bc", 3: "bci"}.get(rank, letters)


def guess_axes(port: Port, where: str, card_path: Path) -> str:
    """Return the axes of an image by the rank and sizes of its tensor.

    Raises
    ------
    smartscope.errors.Refused
        If they do not tell.
    """
    rank = len(port.shape) if port.shape is not None else 0
    if rank == 4 and port.shape is not None:
        few = (1, 2, 3, 4)
        last_is_channel = port.shape[3] in few and port.shape[1] not in few
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
    letters: str,
    port: Port,
    where: str,
    *,
    step: int = 1,
    stride: int = 1,
    halo: int = 0,
    offset: int = 0,
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
            size if letter != "b" or size is not None else 1,
            minimum=step if letter in "yx" else 1,
            step=step if letter in "yx" else 1,
            stride=float(stride) if letter in "yx" else 1.0,
            halo=halo if letter in "yx" else 0,
            offset=offset if letter in "yx" else 0,
        )
        for letter, size in zip(letters, shape, strict=True)
    )
