"""From a trained network to a package that a run takes."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from smartscope.errors import Refused
from smartscope.inference import pack
from smartscope.training.half_weights import store_halves

OPSET = 17
_TOLERANCE = 1e-4  # of the largest value


def export(
    net: nn.Module,
    out: Path,
    card: dict[str, Any],
    *,
    outputs: Sequence[str] = ("restored",),
    channels: int = 1,
    around: tuple[float, float] = (0.0, 1.0),
    readme: str | None = None,
    record: Mapping[str, Any] | None = None,
    authors: tuple[str, ...] = ("unknown",),
    license_id: str | None = None,
) -> float:
    """Write a bioimage.io package of a network and see that it gives the same.

    Parameters
    ----------
    net : nn.Module
        Ready to be run, on the CPU; one image goes in.
    out : Path
        Folder of the package, or a ``.zip``; must not exist.
    card : dict
        How it is read, see ``ModelCard``; sizes are multiples of its ``step``.
    outputs : sequence of str
        Names of what comes out.
    channels : int
        Of the image.
    around : tuple of float
        Mean and standard deviation of what goes in, for the comparison.
    readme : str, optional
        What is known about it, Markdown.
    record : Mapping, optional
        The same as plain values.
    authors, license_id
        For the package.

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
        deviation = write_onnx(
            net,
            path,
            outputs,
            channels=channels,
            step=int(card["step"]),
            around=around,
        )
        path.with_suffix(".yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
        pack(
            path,
            out,
            authors=authors,
            license_id=license_id,
            readme=readme,
            record=record,
        )
    return deviation


def write_onnx(
    net: nn.Module,
    path: Path,
    outputs: Sequence[str],
    *,
    channels: int,
    step: int,
    around: tuple[float, float],
) -> float:
    """Write the graph of a network and return how far it is from it.

    Parameters are what they are called in the network, and norms are not folded into
    the convolutions before them: so another training can begin with the weights of a
    package (``start.py``). A runtime folds them when it loads the graph.

    Raises
    ------
    smartscope.errors.Refused
        If the two differ.
    """
    # the exporter sets the mode of all parts back to that of the outermost
    net = net.eval()
    _write(net, path, outputs, channels)
    store_halves(path)
    deviation = _deviation(net, path, channels, step, around)
    if not deviation <= _TOLERANCE:
        raise Refused(
            f"The exported network differs from the trained one by {deviation:.2g} "
            "of the largest value.",
            rule=f"They agree within {_TOLERANCE:g}.",
            way_out="Train again with other versions of torch and onnxruntime.",
            state="The checkpoint is kept.",
        )
    return deviation


def _write(net: nn.Module, path: Path, outputs: Sequence[str], channels: int) -> None:
    free = {2: "y", 3: "x"}
    with warnings.catch_warnings():
        # the exporter that needs no further package says that it is the older one
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            (torch.zeros(1, channels, 64, 64),),
            str(path),
            input_names=["image"],
            output_names=list(outputs),
            dynamic_axes=dict.fromkeys(("image", *outputs), free),
            opset_version=OPSET,
            dynamo=False,
            # which is that of being run; it keeps the norms and the names
            training=torch.onnx.TrainingMode.PRESERVE,
            # only with it are the factors of what is resized plain numbers, from which
            # it is told how far the graph sees
            do_constant_folding=True,
        )


def _deviation(
    net: nn.Module, path: Path, channels: int, step: int, around: tuple[float, float]
) -> float:
    import onnxruntime  # type: ignore[import-untyped,unused-ignore]  # it has no stubs

    rng = np.random.default_rng(0)
    mean, scale = around
    shape = (1, channels, max(24, 128 // step) * step, 17 * step)
    given = rng.normal(mean, 2 * scale, shape).astype(np.float32)
    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )
    got = session.run(None, {"image": given})
    with torch.no_grad():
        made = net(torch.from_numpy(given))
    wanted = made if isinstance(made, tuple) else (made,)
    return max(
        float(np.abs(g - w.numpy()).max() / max(float(w.abs().max()), 1e-12))
        for g, w in zip(got, wanted, strict=True)
    )
