"""bioimage.io packages: the only file that knows ``bioimageio.spec``.

Descriptions 0.4 and 0.5 become the tensors of ``tensor.py``. Files that a package names
and only the web has are never asked for: the ONNX weights beside it are all we need.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from smartscope.errors import Refused
from smartscope.inference.bioimage_0_4 import tensor_0_4
from smartscope.inference.bioimage_0_5 import pixel_size_um_0_5, tensor_0_5
from smartscope.inference.bioimage_heads import taken_by_a_head
from smartscope.inference.references import of_references
from smartscope.inference.tensor import TensorSpec

DESCRIPTIONS = ("bioimageio.yaml", "rdf.yaml", "model.yaml")

_DISCRETE = "any_discrete_output"
_CONTINUOUS = "any_continuous_output"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far from a test tensor an output may be.

    Attributes
    ----------
    relative : float
        Of each expected value.
    absolute : float
        Added to it.
    per_million : float
        So many of a million values may be further off.
    """

    relative: float = 1e-3
    absolute: float = 1e-3
    per_million: float = 100.0


@dataclass(frozen=True, slots=True)
class Description:
    """What a package says, as far as it matters here.

    Attributes
    ----------
    test_inputs, test_outputs : tuple of Path or None
        Of each input and output; None where the file is not in the package.
    head : Mapping
        What processing after the graph says about the head: a StarDist package asks
        for its polygons there.
    tolerances : Mapping of str to Tolerance
        By output: how far from its test tensor it may be, as the package allows it.
    sha256 : str
        Of the description's file.
    """

    name: str
    text: str
    version: str
    weights: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    pixel_size_um: float | None
    test_inputs: tuple[Path | None, ...]
    test_outputs: tuple[Path | None, ...]
    config: Mapping[str, Any]
    head: Mapping[str, Any]
    tolerances: Mapping[str, Tolerance]
    sha256: str


def description_file(folder: Path) -> Path | None:
    """Return the description in a package folder, None if it is no package."""
    for name in DESCRIPTIONS:
        if (folder / name).is_file():
            return folder / name
    named = [*folder.glob("*.bioimageio.yaml"), *folder.glob("*.rdf.yaml")]
    return min(named, default=None)


def read_description(folder: Path, name: str | None = None) -> Description:
    """Read a package folder, offline.

    Parameters
    ----------
    folder : Path
        Where it lies.
    name : str, optional
        What errors call it; default: the folder's name.

    Raises
    ------
    smartscope.errors.Refused
        If it is no valid package, has no ONNX weights, or describes tensors that a
        frame cannot become.
    """
    file = description_file(folder)
    name = name or folder.name
    if file is None:
        raise Refused(
            f"{name if name != folder.name else folder} is no bioimage.io package.",
            rule=f"A package folder holds {' or '.join(DESCRIPTIONS)}.",
            way_out="Give the folder that holds it, or a .onnx file.",
        )
    described = _validated(file)
    where = f"The package {name}"
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
    make = tensor_0_4 if old else tensor_0_5
    source = str(described.weights.onnx.source)
    if source.startswith(("http:", "https:")):
        raise Refused(
            f"{where} names ONNX weights on the web ({source}).",
            rule="A microscope's computer may be offline: a package holds its weights.",
            way_out="Download the file into the package and name it there.",
        )
    inputs = tuple(make(t, where, ()) for t in described.inputs)
    outputs = tuple(make(t, where, described.inputs) for t in described.outputs)
    outputs = tuple(
        of_references(t, inputs, where, measured_once=True) for t in outputs
    )
    outputs, head = taken_by_a_head(outputs, where)
    inputs = tuple(of_references(t, inputs, where, measured_once=True) for t in inputs)
    given, expected = _test_files_0_4(described) if old else _test_files_0_5(described)
    return Description(
        name=described.name,
        text=described.description,
        version=str(described.version or ""),
        weights=folder / source,
        inputs=inputs,
        outputs=outputs,
        pixel_size_um=None if old else pixel_size_um_0_5(described.inputs[0]),
        test_inputs=tuple(_there(folder, name) for name in given),
        test_outputs=tuple(_there(folder, name) for name in expected),
        config=_plain(described.config),
        head=head,
        tolerances={} if old else _tolerances(described),
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )


_FOLLOWS = "A package follows the bioimage.io specification 0.4 or 0.5."
_LONGEST = 200
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
            f"{'.'.join(map(str, e.loc))}: {_shortened(e.msg)}"
            for detail in described.validation_summary.details
            for e in detail.errors
        ]
        raise Refused(
            f"{file} is not a valid bioimage.io description: {'; '.join(errors[:3])}.",
            rule=_FOLLOWS,
            way_out=_AGAIN,
        )
    return described


def _shortened(message: str) -> str:
    """Cut what pydantic says where it lists all that would do, as every license."""
    return message if len(message) <= _LONGEST else f"{message[:_LONGEST]} ..."


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


def _test_files_0_5(described: Any) -> tuple[list[Any], list[Any]]:
    def files(tensors: Any) -> list[Any]:
        tests = [t.test_tensor for t in tensors]
        return [None if t is None else t.source for t in tests]

    return files(described.inputs), files(described.outputs)


def _test_files_0_4(described: Any) -> tuple[list[Any], list[Any]]:
    return list(described.test_inputs), list(described.test_outputs)


def _tolerances(described: Any) -> dict[str, Tolerance]:
    """Return what a 0.5 package allows; the first entry that fits an output holds."""
    allowed = getattr(
        getattr(described.config, "bioimageio", None), "reproducibility_tolerance", ()
    )
    found: dict[str, Tolerance] = {}
    for tensor in described.outputs:
        name = str(tensor.id)
        kind = str(getattr(tensor.data, "type", "float32"))
        group = _CONTINUOUS if kind.startswith("float") else _DISCRETE
        for entry in allowed:
            kinds = [str(w) for w in getattr(entry, "weights_formats", ())]
            ids = entry.output_ids
            meant = ids == group if isinstance(ids, str) else name in map(str, ids)
            if (meant or not ids) and (not kinds or "onnx" in kinds):
                found[name] = Tolerance(
                    float(entry.relative_tolerance),
                    float(entry.absolute_tolerance),
                    float(entry.mismatched_elements_per_million),
                )
                break
    return found
