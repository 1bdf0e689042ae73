"""The fused graphs of a pipeline, one for each kind of frames."""

from __future__ import annotations

from collections.abc import Hashable

from smartscope.errors import Refused
from smartscope.inference.correction import Correction
from smartscope.inference.fuse import End, Stage
from smartscope.inference.fuse_steps import CannotFuse
from smartscope.inference.fused import FusedPipeline
from smartscope.inference.model import Model
from smartscope.inference.planes import Corrections, Planes

# kept at a time, of each channel that has a flat field of its own one more: shapes of
# frames change rarely in a run, channels with every frame
_MOST = 4


class FusedGraphs:
    """Makes a graph when frames of a kind first come, and keeps the last few.

    Parameters
    ----------
    detect, denoise : Model
        The second, if it is there, restores first.
    end : {"map", "peaks"} or Head
        What the graphs end in.
    corrections : Corrections, optional
        Each channel may have a flat field of its own, and then a graph.

    Attributes
    ----------
    unfused : str
        Why the last kind that was new has no graph; ``""`` if it has.
    """

    def __init__(
        self,
        detect: Model,
        denoise: Model | None,
        end: End,
        *,
        corrections: Corrections | None = None,
    ) -> None:
        self._corrections = corrections
        self._most = _MOST + (0 if corrections is None else len(corrections.flats))
        self._models = [detect] if denoise is None else [denoise, detect]
        self._end = end
        self._made: dict[Hashable, FusedPipeline | None] = {}
        self.unfused = ""

    def __len__(self) -> int:
        return len(self._made)

    def new(self, given: Planes, *, keep_restored: bool) -> bool:
        """Return True if no such planes have come."""
        return self._kind(given, keep_restored) not in self._made

    def of(
        self, given: Planes, correction: Correction | None, *, keep_restored: bool
    ) -> FusedPipeline | None:
        """Return the graph for such planes, None if none can be made.

        Parameters
        ----------
        given : Planes
            Only their kind matters.
        correction : Correction, optional
            Of these planes; it depends on nothing but their channels and shape.
        keep_restored : bool
            Whether the restored image leaves the graph.
        """
        kind = self._kind(given, keep_restored)
        if kind not in self._made:
            if len(self._made) == self._most:
                self._made.pop(next(iter(self._made)))
            self._made[kind] = self._make(given, correction, keep_restored)
        return self._made[kind]

    def _make(
        self, given: Planes, correction: Correction | None, keep_restored: bool
    ) -> FusedPipeline | None:
        models, detect = self._models, self._models[-1]
        shapes = self._shapes(given)
        self.unfused = ""
        try:
            if any(m.tiled(s) for m, s in zip(models, shapes, strict=True)):
                raise CannotFuse("larger frames are run in tiles")
            if len({m.asked for m in models}) > 1:
                raise CannotFuse("its models shall run on different devices")
            if len(models) > 1 and detect.scaling.running:
                raise CannotFuse("each restored image changes the running statistics")
            stages = [
                Stage(
                    m.package,
                    m.padding(shape),
                    m.channel,
                    m.intake,
                    m.scaling.steps,
                    half=m.half is not None,
                )
                for m, shape in zip(models, shapes, strict=True)
            ]
            fused = FusedPipeline(
                stages,
                dtype=given.dtype,
                end=self._end,
                device=detect.asked,
                threads=detect.threads,
                shape=given.shape,
                correction=correction,
                keep_restored=keep_restored,
            )
        except (CannotFuse, Refused) as e:
            # each part of it runs, so what the whole cannot do costs time only
            said = e.what if isinstance(e, Refused) else str(e)
            self.unfused = f"The models run as parts: {said.rstrip('.')}."
            return None
        for model in models:
            model.runs_as(fused.session)
        return fused

    def _shapes(self, given: Planes) -> tuple[tuple[int, int], ...]:
        """Return what frames are resampled to, for each model."""
        return tuple(
            m.image_shape(given.shape, given.pixel_size_um) for m in self._models
        )

    def _kind(self, given: Planes, keep_restored: bool) -> Hashable:
        fields = self._corrections and self._corrections.fields_of(given.channels)
        return (
            given.shape,
            given.dtype.name,
            len(given.channels),
            fields,
            self._shapes(given),
            keep_restored,
        )
