"""The OME-Zarr collection of a run: which images there are and what they are.

It alone knows the layout on disk (OME-NGFF 0.5 on zarr 3, bioformats2raw layout) and
the order of writing in which a reader finds a valid collection at every moment: array,
then image, then its name in the series. Pixels are put in by ``writer``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from smartscope.acquisition import Frame
from smartscope.storage.image import Earlier, Image, ImageSpec
from smartscope.storage.zarr_files import Compression, write_group


class Collection:
    """The OME-Zarr collection of a run.

    Parameters
    ----------
    path : Path
        Made with the first image.
    compression : {"lz4", "zstd", "none"}
        Of the chunks.
    earlier : Mapping of str to Earlier, optional
        By image, in the order they were made, what an earlier process has stored. These
        images are gone on with.
    """

    def __init__(
        self,
        path: Path,
        compression: Compression,
        earlier: Mapping[str, Earlier] | None = None,
    ) -> None:
        import tensorstore as ts

        # imported here, or the first image would be late
        import yaozarrs.v05  # noqa: F401

        self.path = path
        self.images: dict[str, Image] = {}
        self._earlier = dict(earlier or {})
        self._compression: Compression = compression
        # One process writes, each chunk once, under a name of its own that is then put
        # in place: no locks are needed. Without sync, frames survive the end of the
        # process, not that of the machine.
        self._context = ts.Context(
            {
                "cache_pool": {"total_bytes_limit": 0},
                "file_io_locking": {"mode": "none"},
                "file_io_sync": False,
            }
        )

    def image(
        self, spec: ImageSpec, frame: Frame, index: tuple[int, int, int]
    ) -> Image:
        """Return the image of a frame; if it is its first, make the image and list it.

        An image of fewer channels or planes than ``spec`` says becomes one of these.
        """
        image = self.images.get(spec.name)
        if image is None:
            return self._add(spec, frame, index[1])
        if image.spec != spec:
            image.grow(spec)
        return image

    def finish(self) -> None:
        """Cut all images to what was stored in them."""
        for image in self.images.values():
            image.finish()

    def _add(self, spec: ImageSpec, first: Frame, channel: int) -> Image:
        earlier = self._earlier.get(spec.name)
        image = self.images[spec.name] = Image(
            spec,
            first,
            self.path / spec.name,
            self._context,
            self._compression,
            channel=channel,
            earlier=earlier,
        )
        if earlier is None:
            self._write_series()
        return image

    def _write_series(self) -> None:
        from yaozarrs import v05

        names = list(dict.fromkeys((*self._earlier, *self.images)))
        series = v05.Series(series=names)
        write_group(
            self.path / "OME", {"ome": series.model_dump(mode="json", by_alias=True)}
        )
        if len(names) == 1:
            layout = v05.Bf2Raw.model_validate({"bioformats2raw.layout": 3})
            write_group(
                self.path, {"ome": layout.model_dump(mode="json", by_alias=True)}
            )
