"""What a collection is made of on disk: zarr 3 arrays and groups.

One chunk holds one plane. What groups say stands with those who write them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from smartscope.storage.run_folder import replace_json

if TYPE_CHECKING:
    import tensorstore as ts

ARRAY = "0"
Compression = Literal["lz4", "zstd", "none"]


def open_array(path: Path, context: ts.Context) -> ts.TensorStore:
    """Open an array that is there, to go on writing."""
    import tensorstore as ts

    kvstore = {"driver": "file", "path": str(path)}
    return ts.open(
        {
            "driver": "zarr3",
            "kvstore": kvstore,
            "store_data_equal_to_fill_value": True,
        },
        open=True,
        context=context,
    ).result()


def create_array(
    path: Path,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    context: ts.Context,
    compression: Compression,
) -> ts.TensorStore:
    """Make an array with the axes t, c, z, y, x; a plane that is not there stays out.

    Read by others, such a plane is black in an array of integers, and NaN in one of
    other numbers.
    """
    import tensorstore as ts

    codecs: list[dict[str, Any]] = [
        {"name": "bytes", "configuration": {"endian": "little"}}
    ]
    if compression != "none":
        blosc = {
            "cname": compression,
            "clevel": 1,
            "shuffle": "shuffle" if dtype.itemsize > 1 else "noshuffle",
            "typesize": dtype.itemsize,
            "blocksize": 0,
        }
        codecs.append({"name": "blosc", "configuration": blosc})
    return ts.open(
        {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str(path)},
            # a black frame is a frame: no chunk means not stored
            "store_data_equal_to_fill_value": True,
            "metadata": {
                "shape": list(shape),
                "data_type": dtype.name,
                "chunk_grid": {
                    "name": "regular",
                    "configuration": {"chunk_shape": [1, 1, 1, *shape[-2:]]},
                },
                # dots: one folder an image; slashes make four folders a frame
                "chunk_key_encoding": {
                    "name": "default",
                    "configuration": {"separator": "."},
                },
                "codecs": codecs,
                # a plane of numbers that is not there must not look like a black one
                "fill_value": 0 if dtype.kind in "ui" else "NaN",
                "dimension_names": ["t", "c", "z", "y", "x"],
            },
        },
        create=True,
        context=context,
    ).result()


def write_group(folder: Path, attributes: Mapping[str, Any]) -> None:
    """Make a group, or replace what it says of itself."""
    folder.mkdir(parents=True, exist_ok=True)
    replace_json(
        folder / "zarr.json",
        {"zarr_format": 3, "node_type": "group", "attributes": attributes},
    )
