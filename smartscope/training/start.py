"""What a training begins with: the weights of another one, or of a model that is there.

A package holds an ONNX graph only. In those that ``export.py`` writes the parameters
are called what they are called in the network, so that they can be read back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from smartscope.errors import Refused
from smartscope.inference import ModelPackage, read_graph, training_record
from smartscope.training.folder import CHECKPOINT, read_checkpoint
from smartscope.training.settings import LearnSettings

Settings = TypeVar("Settings", bound=LearnSettings)

_COUNTS_BATCHES = "num_batches_tracked"  # of norms; nothing depends on it
_WRAPPED = "net."  # what is packed may hold the network as its part


@dataclass(frozen=True)
class Start:
    """Weights by their names in the network, and how they were trained.

    Attributes
    ----------
    source : str
        What was named.
    weights : Mapping
        Of parameters and buffers.
    settings : Mapping
        Of the training, as far as they are known.
    """

    source: str
    weights: Mapping[str, torch.Tensor]
    settings: Mapping[str, Any]

    @classmethod
    def read(cls, source: str | Path) -> Start:
        """Read them.

        Parameters
        ----------
        source : str or Path
            A ``checkpoint.pt``, the folder of a training, a package (folder or zip), or
            the name of a shipped model.

        Raises
        ------
        smartscope.errors.Refused
            If there is no such thing or it cannot be read.
        """
        path = Path(source)
        if path.suffix == ".pt" or (path / CHECKPOINT).is_file():
            held = read_checkpoint(path)
            return cls(str(source), held["best"], held["settings"])
        package = ModelPackage.load(str(source))
        settings = training_record(package).get("settings")
        return cls(
            str(source),
            _of_graph(package.onnx.path),
            settings if isinstance(settings, Mapping) else {},
        )

    def sized(self, settings: Settings, names: Collection[str]) -> Settings:
        """Return settings whose sizes are those of the network that it begins with.

        Parameters
        ----------
        settings : LearnSettings
            What was asked for; what was named there stays as it is.
        names : collection of str
            Settings that say how large the network is.
        """
        update = {
            name: self.settings[name]
            for name in names
            if name in self.settings and name not in settings.model_fields_set
        }
        asked = settings.model_dump(include=settings.model_fields_set)
        return type(settings).model_validate({**asked, **update})

    def fitted(
        self, net: nn.Module, *, own: Collection[str] = ()
    ) -> dict[str, torch.Tensor]:
        """Return the weights as a network takes them.

        A network that sees several frames may begin with one that sees a single frame:
        what that one makes of its frame this one makes of its newest, at first.

        Parameters
        ----------
        net : nn.Module
            Of the same kind and size.
        own : collection of str
            What it keeps of its own.

        Raises
        ------
        smartscope.errors.Refused
            If they are of another network, or parts were folded together.
        """
        made, wrong = {}, []
        for name, now in net.state_dict().items():
            if name in own or name.endswith(_COUNTS_BATCHES):
                made[name] = now
                continue
            found = self.weights.get(name, self.weights.get(_WRAPPED + name))
            if found is not None and found.shape != now.shape:
                found = _of_newest(found, now)
            if found is None:
                wrong.append(name)
            else:
                made[name] = found.to(now.dtype)
        if wrong:
            raise Refused(
                f"The weights of {self.source} do not fit: {len(wrong)} of "
                f"{len(net.state_dict())} parts of the network are missing or of "
                f"another size ({', '.join(wrong[:3])}).",
                rule="A training begins with weights of a network of the same kind and "
                "size, whose package holds every part under its name.",
                way_out="Give such a model or its checkpoint.pt, or leave the size "
                "away. Packages of other programs, and those made before there was "
                "this option, cannot be begun with; 'smartscope train pack' makes one "
                "anew from the folder of its training.",
            )
        return made


def _of_newest(found: torch.Tensor, now: torch.Tensor) -> torch.Tensor | None:
    """Return weights for several frames of those for one; None if it is not that."""
    one = (found.shape[0], 1, *found.shape[2:])
    if found.ndim != 4 or found.shape != one or now.shape[1] < 2:
        return None
    if (now.shape[0], 1, *now.shape[2:]) != one:
        return None
    made = torch.zeros(now.shape, dtype=found.dtype)
    made[:, -1:] = found
    return made


def _of_graph(path: Path) -> dict[str, torch.Tensor]:
    from onnx import numpy_helper

    graph = read_graph(path).graph
    held = {
        tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in graph.initializer
    }
    for node in graph.node:
        # parts that hold the same numbers are written once
        if node.op_type == "Identity" and node.input[0] in held:
            held[node.output[0]] = held[node.input[0]]
    return held
