"""From a trained network to a package that a run takes."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from smartscope.errors import Refused
from smartscope.inference import pack
from smartscope.training.net import Net

OPSET = 17
_TOLERANCE = 1e-4  # of the largest value


def export(
    net: Net,
    out: Path,
    *,
    name: str,
    description: str,
    levels: int,
    pixel_size_um: float | None = None,
) -> float:
    """Write a bioimage.io package of a network and see that it gives the same.

    Parameters
    ----------
    net : Net
        Ready to be run, on the CPU.
    out : Path
        Folder of the package, or a ``.zip``; must not exist.
    name, description : str
        For people.
    levels : int
        Of the network: sizes are multiples of ``2**levels``.
    pixel_size_um : float, optional
        Of the images it was trained on.

    Returns
    -------
    float
        Largest deviation of ONNX from torch, over the largest value.

    Raises
    ------
    smartscope.errors.Refused
        If the two differ, or `out` exists.
    """
    with tempfile.TemporaryDirectory(prefix="smartscope_export_") as folder:
        path = Path(folder) / "model.onnx"
        _write(net, path)
        deviation = _deviation(net, path, levels)
        if not deviation <= _TOLERANCE:
            raise Refused(
                f"The exported network differs from the trained one by {deviation:.2g} "
                "of the largest value.",
                rule=f"They agree within {_TOLERANCE:g}.",
                way_out="Train again with other versions of torch and onnxruntime.",
                state="The checkpoint is kept.",
            )
        card: dict[str, Any] = {
            "name": name,
            "description": description,
            "axes": "bcyx",
            "step": 2**levels,
        }
        if pixel_size_um is not None:
            card["pixel_size_um"] = pixel_size_um
        path.with_suffix(".yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
        pack(path, out)
    return deviation


def _write(net: Net, path: Path) -> None:
    sample = torch.zeros(1, 1, 64, 64)
    free = {2: "y", 3: "x"}
    with warnings.catch_warnings():
        # the exporter that needs no further package says that it is the older one
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (sample,),
            str(path),
            input_names=["image"],
            output_names=["restored"],
            dynamic_axes={"image": free, "restored": free},
            opset_version=OPSET,
            dynamo=False,
        )


def _deviation(net: Net, path: Path, levels: int) -> float:
    import onnxruntime  # type: ignore[import-untyped,unused-ignore]  # it has no stubs

    size = 2**levels
    rng = np.random.default_rng(0)
    shape = (1, 1, 24 * size, 17 * size)
    given = rng.normal(float(net.mean), 2 * float(net.scale), shape).astype(np.float32)
    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    (got,) = session.run(None, {"image": given})
    with torch.no_grad():
        wanted = net(torch.from_numpy(given)).numpy()
    return float(np.abs(got - wanted).max() / max(np.abs(wanted).max(), 1e-12))
