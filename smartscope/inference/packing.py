"""Making a bioimage.io package of an ONNX file and its card.

The test tensors come from running it: whoever has the package can see whether it does
there what it did here.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference.bioimage import DESCRIPTIONS, description_file
from smartscope.inference.card import HeadCard, ModelCard, read_card
from smartscope.inference.intake import Intake
from smartscope.inference.model_package import ModelPackage
from smartscope.inference.normalize import UNPROCESSED, chain
from smartscope.inference.references import check_packed
from smartscope.inference.session import ModelSession
from smartscope.inference.tensor import TensorSpec
from smartscope.inference.verification import require_reproduced

_TRAINING = "smartscope_training"
_TEST_SIZE = 96
_FREE_SIZE = 16
_SEED = 7
_SHORTEST_NAME = 5
_NAMES = {"b": "batch", "c": "channel", "t": "time", "i": "index"}


def pack(
    path: Path,
    out: Path,
    *,
    authors: tuple[str, ...] = ("unknown",),
    license_id: str | None = None,
    readme: str | None = None,
    record: Mapping[str, Any] | None = None,
) -> Path:
    """Write a package.

    Parameters
    ----------
    path : Path
        A ``.onnx`` file with its card beside it.
    out : Path
        A folder to make, or a ``.zip``; must not exist.
    authors : tuple of str
        Their names.
    license_id : str, optional
        Of the SPDX list; a package without one may be used by nobody but its author.
    readme : str, optional
        What is known about the model, Markdown; default: what its card says.
    record : Mapping, optional
        The same as plain values, for ``config: smartscope_training``.

    Returns
    -------
    Path
        `out`; the package has been read again and reproduces its test tensors.

    Raises
    ------
    smartscope.errors.Refused
        If the model cannot be read or run, has no card, or `out` exists.
    """
    card_path = path.with_suffix(".yaml")
    if path.is_dir() or path.suffix != ".onnx" or not card_path.is_file():
        raise Refused(
            f"{path} is no .onnx file with a card beside it.",
            rule="A package is made of a graph and of what its card says.",
            way_out=f"'smartscope models inspect {path} --card' writes a first card."
            if path.is_file() and path.suffix == ".onnx"
            else "Give a .onnx file; what is a package already needs no packing.",
        )
    if out.exists():
        raise Refused(
            f"{out} exists already.",
            rule="Nothing is overwritten.",
            way_out="Name another.",
        )
    if license_id:
        check_license(license_id)
    package, card = ModelPackage.load(path), read_card(card_path)
    check_packed(package.input, f"The model {path.name}")
    with tempfile.TemporaryDirectory(prefix="smartscope_pack_") as name:
        folder = Path(name) / "package"
        folder.mkdir()
        _fill(folder, package, card, authors, license_id)
        _tell_more(folder, readme, record)
        require_reproduced(ModelPackage.load(folder))
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            if out.suffix == ".zip":
                _zip(folder, out)
            else:
                shutil.copytree(folder, out)
        except OSError as e:
            raise Refused(
                f"{out} cannot be written: {e.strerror}.",
                rule="A package is written where --out says.",
                way_out="Give a place that can be written.",
            ) from e
    return out


def check_license(license_id: str) -> None:
    """See that a license is one of the SPDX list.

    Raises
    ------
    smartscope.errors.Refused
        If it is not.
    """
    from bioimageio.spec.model import v0_5

    try:
        v0_5.LicenseId(license_id)
    except ValueError as e:
        raise Refused(
            f"There is no license '{license_id}'.",
            rule="A license is named as the SPDX list (spdx.org/licenses) has it.",
            way_out="Name one of them, such as MIT, BSD-3-Clause or CC-BY-4.0.",
        ) from e


def _fill(
    folder: Path,
    package: ModelPackage,
    card: ModelCard,
    authors: tuple[str, ...],
    license_id: str | None,
) -> None:
    given = _test_image(package)
    outputs = _run(package, given)
    _copy_weights(package, folder)
    np.save(folder / "test_input.npy", given)
    for i, output in enumerate(outputs):
        np.save(folder / f"test_output_{i}.npy", output)
    (folder / "README.md").write_text(_readme(package, card), encoding="utf-8")
    described = _description(folder, package, card, given, outputs)
    described["authors"] = [{"name": name} for name in authors]
    if license_id:
        described["license"] = license_id
    (folder / DESCRIPTIONS[0]).write_text(
        yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=88),
        encoding="utf-8",
    )
    assert description_file(folder) is not None


def _tell_more(
    folder: Path, readme: str | None, record: Mapping[str, Any] | None
) -> None:
    if readme is not None:
        (folder / "README.md").write_text(readme, encoding="utf-8")
    if record is None:
        return
    path = folder / DESCRIPTIONS[0]
    described = yaml.safe_load(path.read_text(encoding="utf-8"))
    described.setdefault("config", {})[_TRAINING] = dict(record)
    path.write_text(
        yaml.safe_dump(described, sort_keys=False, allow_unicode=True, width=88),
        encoding="utf-8",
    )


def training_record(package: ModelPackage) -> Mapping[str, Any]:
    """Return what `pack` was given as `record`; empty where a package tells nothing."""
    described = description_file(package.onnx.path.parent)
    if described is None:
        return {}
    content = yaml.safe_load(described.read_text(encoding="utf-8"))
    found = (content.get("config") or {}).get(_TRAINING)
    return found if isinstance(found, Mapping) else {}


def _copy_weights(package: ModelPackage, folder: Path) -> None:
    """Copy the graph as one file, whatever it was."""
    import onnx

    model = onnx.load(str(package.onnx.path))
    try:
        (folder / "weights.onnx").write_bytes(model.SerializeToString())
    except ValueError as e:  # protobuf's bound of a message
        raise Refused(
            f"{package.onnx.path} and its external data are larger than 2 GB.",
            rule="A package is made of one graph in one file.",
            way_out="Describe it by hand, with its external data beside it.",
        ) from e


def _test_image(package: ModelPackage) -> npt.NDArray[Any]:
    """Return bright spots on a noisy ground, in counts, in the model's axes."""
    sizes = {a.letter: a for a in package.input.axes}
    rows = sizes["y"].size or sizes["y"].padded(_TEST_SIZE) or _TEST_SIZE
    columns = sizes["x"].size or sizes["x"].padded(_TEST_SIZE) or _TEST_SIZE
    rng = np.random.default_rng(_SEED)
    y, x = np.indices((rows, columns))
    intake, planes = Intake.of(package), []
    for _ in range(intake.planes):
        image = 100.0 + rng.normal(0, 4, (rows, columns))
        for _ in range(max(1, rows * columns // 2000)):
            row, column = rng.uniform(0, rows), rng.uniform(0, columns)
            image += 100 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 40)
        planes.append(image)
    tensor = intake.tensor(planes)
    # uint8 holds it too: counts stay below 255 almost everywhere
    counts = np.clip(np.rint(tensor), 0, 255)
    dtype = package.input.dtype
    return np.ascontiguousarray(counts, dtype if dtype != "float16" else "float32")


def _run(package: ModelPackage, given: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    tensor = chain(package.input.steps, package.input.letters)(given)
    session = ModelSession(package.onnx.path, name=package.name, device="cpu")
    ports = package.onnx.outputs[: len(package.outputs)]
    try:
        outputs = session.run(
            {package.onnx.inputs[0].name: tensor.astype(package.input.dtype)},
            [p.name for p in ports],
        )
    except AnalysisFailed as e:
        raise Refused(
            f"{package.name} does not run on a test image of shape {given.shape}: "
            f"{e.what}",
            rule="A package holds test tensors made by running it.",
            way_out="Correct the card: axes, step.",
        ) from e
    made = [
        np.asarray(chain(spec.steps, spec.letters)(output, {package.input.name: given}))
        for spec, output in zip(package.outputs, outputs, strict=True)
    ]
    if not all(np.isfinite(m).all() for m in made if m.dtype.kind == "f"):
        raise Refused(
            f"{package.name} gives NaN or infinity on a plain test image.",
            rule="A model gives numbers.",
            way_out="Correct the normalisation of the card.",
        )
    return made


def _description(
    folder: Path,
    package: ModelPackage,
    card: ModelCard,
    given: npt.NDArray[Any],
    outputs: list[npt.NDArray[Any]],
) -> dict[str, Any]:
    own = card.model_dump(
        mode="json", include={*HeadCard.model_fields}, exclude_unset=True
    )
    described: dict[str, Any] = {
        "format_version": "0.5.4",
        "type": "model",
        "name": _allowed(package.name),
        "description": card.description or f"Packed from {package.onnx.path.name}.",
        "version": "0.1.0",
        "documentation": "README.md",
        "tags": ["smartscope"],
        "inputs": [
            {
                "id": "raw",
                "axes": _axes(package.input, given.shape, card),
                "data": {"type": str(given.dtype)},
                "test_tensor": _file(folder / "test_input.npy"),
                "preprocessing": _steps(package.input),
            }
        ],
        "outputs": [
            {
                "id": f"output_{i}",
                "axes": _axes(spec, made.shape, card, free=_free(package)),
                "data": {"type": str(made.dtype)},
                "test_tensor": _file(folder / f"test_output_{i}.npy"),
                "postprocessing": _steps(spec),
            }
            for i, (spec, made) in enumerate(zip(package.outputs, outputs, strict=True))
        ],
        "weights": {
            "onnx": {
                **_file(folder / "weights.onnx"),
                "opset_version": package.onnx.opset,
            }
        },
    }
    if own:
        described["config"] = {"smartscope": own}
    return described


def _allowed(name: str) -> str:
    """Return a name as the specification takes it: 5 characters, few special ones."""
    plain = "".join(
        c if (c.isascii() and c.isalnum()) or c in "_+- ()" else "-" for c in name
    )
    return plain if len(plain) >= _SHORTEST_NAME else f"model {plain}"


def _free(package: ModelPackage) -> frozenset[str]:
    return frozenset(a.letter for a in package.input.axes if a.size is None)


def _axes(
    spec: TensorSpec,
    shape: tuple[int, ...],
    card: ModelCard,
    *,
    free: frozenset[str] | None = None,
) -> list[dict[str, Any]]:
    """Word the axes; ``free`` are the input's free ones, for an output."""
    described = []
    for axis, length in zip(spec.axes, shape, strict=True):
        letter = axis.letter
        told: dict[str, Any] = {"type": _NAMES.get(letter, "space")}
        if letter == "b":
            told["size"] = 1
        elif letter == "c":
            told["channel_names"] = [f"channel{i}" for i in range(length)]
        elif letter == "i":
            # how many boxes there are follows the image's size
            told["size"] = length if not free else {"min": 1, "max": None}
        elif letter == "t":
            fixed = axis.size is not None or free is not None
            told["size"] = length if fixed else {"min": axis.minimum, "step": axis.step}
        else:
            told["id"] = letter
            pixel_um = (card.pixel_size_um or 1.0) * axis.stride
            if card.pixel_size_um is not None:
                told["unit"] = "micrometer"
            told["scale"] = pixel_um
            if free is not None and letter in free:
                told["size"] = {
                    "tensor_id": "raw",
                    "axis_id": letter,
                    "offset": axis.offset,
                }
            elif axis.size is None and free is None:
                least = max(axis.minimum, axis.step * -(-_FREE_SIZE // axis.step))
                told["size"] = {"min": least, "step": axis.step}
            else:
                told["size"] = length
            if axis.halo and isinstance(told["size"], Mapping):
                told["halo"] = axis.halo
        described.append(told)
    return described


def _steps(spec: TensorSpec) -> list[dict[str, Any]]:
    ids = {**_NAMES, "y": "y", "x": "x", "z": "z"}
    steps = []
    for step in spec.steps:
        kwargs = dict(step.kwargs)
        kwargs.pop("reference_axes", None)
        other = kwargs.pop("reference_tensor", UNPROCESSED)
        if other != UNPROCESSED:  # which is what every input is measured by
            kwargs["reference_tensor"] = "raw"
        if kwargs.get("axes") is not None:
            kwargs["axes"] = [ids.get(str(a), a) for a in kwargs["axes"]]
        if kwargs.get("axis") is not None:
            kwargs["axis"] = ids.get(str(kwargs["axis"]), kwargs["axis"])
        steps.append({"id": step.id, **({"kwargs": kwargs} if kwargs else {})})
    return steps


def _file(path: Path) -> dict[str, str]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"source": path.name, "sha256": digest}


def _zip(folder: Path, out: Path) -> None:
    with zipfile.ZipFile(out, "x", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)


def _readme(package: ModelPackage, card: ModelCard) -> str:
    return (
        f"# {package.name}\n\n{card.description or 'No description was given.'}\n\n"
        f"Packed by smartscope {version('smartscope')} from {package.onnx.path.name}. "
        "The test tensors come from running it on a made-up image: they show that it "
        "does the same elsewhere, not that it is right.\n"
    )
