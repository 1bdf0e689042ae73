"""The package of a training made anew, or of one that was stopped."""

from __future__ import annotations

import shutil
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from torch import nn

from smartscope.errors import Refused
from smartscope.inference import (
    ModelPackage,
    description_file,
    require_reproduced,
)
from smartscope.training.blind_net import BlindNet
from smartscope.training.export import write_onnx
from smartscope.training.folder import PACKAGE, read_checkpoint, read_record
from smartscope.training.heat_net import HeatNet, HeatPackage
from smartscope.training.net import net_of
from smartscope.training.settings import HeatSettings, StarSettings, TrainSettings
from smartscope.training.star_net import StarNet, StarPackage

_NORMALISED = (0.3, 0.3)  # mean and deviation of images with percentiles at 0 and 1


def make_package(folder: str | Path) -> Path:
    """Make the package of a training again, or of the best weights of a stopped one.

    Parameters
    ----------
    folder : path
        Of the training. One without a package needs its data where they were.

    Returns
    -------
    Path
        The package.

    Raises
    ------
    smartscope.errors.Refused
        If it is no folder of a training, its data are not there any more, or it has
        learned nothing yet.
    """
    folder = Path(folder)
    if (folder / PACKAGE).is_dir():
        export_again(folder)
        return folder / PACKAGE
    held, record = read_checkpoint(folder), read_record(folder)
    if "source" not in record:
        raise Refused(
            f"{folder} does not say what it was trained on.",
            rule="training.json tells that, and the data are read for the figures.",
            way_out="Go on with it by --resume, naming the data.",
        )
    source, settings = Path(record["source"]), held["settings"]
    if "method" in settings:
        from smartscope.training.denoise import train_denoise

        train_denoise(
            source,
            folder,
            TrainSettings.model_validate(settings),
            resume=True,
            finish=True,
        )
    elif "rays" in settings:
        from smartscope.training.detect import train_detect

        train_detect(
            source,
            folder,
            StarSettings.model_validate(settings),
            resume=True,
            finish=True,
        )
    else:
        from smartscope.training.heat import train_points

        train_points(
            source,
            folder,
            HeatSettings.model_validate(settings),
            resume=True,
            finish=True,
        )
    return folder / PACKAGE


def export_again(folder: str | Path) -> float:
    """Write the graph of a package anew from the checkpoint beside it.

    What else the package holds stays, the test tensors among it: the new graph must
    reproduce what the old one made.

    Parameters
    ----------
    folder : path
        Of a training that has ended: ``checkpoint.pt`` and ``model``.

    Returns
    -------
    float
        Largest deviation of the graph from the network, over the largest value.

    Raises
    ------
    smartscope.errors.Refused
        If it is no such folder, or the new graph does not give the same.
    """
    folder = Path(folder)
    held = read_checkpoint(folder)
    package = ModelPackage.load(folder / PACKAGE)
    net = _net(held["settings"], held["best"], read_record(folder))
    with tempfile.TemporaryDirectory(dir=folder, prefix="packing_") as beside:
        made = Path(beside) / PACKAGE
        shutil.copytree(folder / PACKAGE, made)
        graph = made / package.onnx.path.name
        row = package.input.axis("y")
        assert row is not None
        assert package.test_input is not None
        given = np.load(package.test_input)
        deviation = write_onnx(
            net,
            graph,
            [port.name for port in package.onnx.outputs],
            channels=given.shape[1],
            step=row.step,
            around=_NORMALISED
            if package.input.steps
            else (float(given.mean()), float(given.std())),
        )
        described = description_file(made)
        assert described is not None
        told = yaml.safe_load(described.read_text(encoding="utf-8"))
        told["weights"]["onnx"]["sha256"] = sha256(graph.read_bytes()).hexdigest()
        described.write_text(
            yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=88),
            encoding="utf-8",
        )
        require_reproduced(ModelPackage.load(made))
        (folder / PACKAGE).rename(Path(beside) / "before")
        made.rename(folder / PACKAGE)
    return deviation


def _net(
    settings: dict[str, Any], weights: dict[str, Any], record: dict[str, Any]
) -> nn.Module:
    """Return the network of a checkpoint, as it is packed."""
    if "rays" in settings:
        star = StarNet(settings["rays"], settings["size"])
        star.load_state_dict(weights)
        return StarPackage(star, record.get("figures", {}).get("longer_px", 0.0))
    if "grid" in settings:
        kind = HeatSettings.model_validate(settings)
        heat = HeatNet(
            kind.frames, kind.size, kind.grid, kind.least_noise, kind.most_contrast
        )
        heat.load_state_dict(weights)
        return HeatPackage(heat)
    net: nn.Module = (
        net_of(TrainSettings.model_validate(settings), 0.0, 1.0)
        if "method" in settings
        else BlindNet(tuple(settings["widths"]))
    )
    net.load_state_dict(weights)
    return net
