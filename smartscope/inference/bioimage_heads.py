"""Processing after the graph that is no arithmetic on arrays: a head's, or nobody's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from smartscope.errors import Refused
from smartscope.inference.tensor import Axis, TensorSpec


def taken_by_a_head(
    outputs: tuple[TensorSpec, ...], where: str
) -> tuple[tuple[TensorSpec, ...], dict[str, Any]]:
    """Take the steps out that a head does.

    Returns
    -------
    outputs : tuple of TensorSpec
        As the graph gives them.
    head : dict
        What the steps said about the head, as a card says it.

    Raises
    ------
    smartscope.errors.Refused
        If there is a step that nothing here does.
    """
    head: dict[str, Any] = {}
    kept = []
    for tensor in outputs:
        refused = [s.id for s in tensor.steps if s.id in _NOT_OURS]
        if refused:
            raise Refused(
                f"{where} asks for the processing step '{refused[0]}' after the graph: "
                f"{_NOT_OURS[refused[0]]}.",
                rule="smartscope runs the processing of the bioimage.io specification "
                "that is arithmetic on arrays, and StarDist.",
                way_out="Take a model with another kind of output (a probability map, "
                "StarDist), or write a detector of your own.",
            )
        stardist = [s for s in tensor.steps if s.id == "stardist_postprocessing"]
        if stardist:
            grid = tuple(stardist[0].kwargs["grid"])
            last = [s.id for s in tensor.steps if s.id != "ensure_dtype"][-1]
            if len(grid) != 2 or last != stardist[0].id:
                raise Refused(
                    f"{where} asks for StarDist in three dimensions, or for steps "
                    "after it.",
                    rule="The head stardist reads polygons of one plane, and is last.",
                    way_out="Take a model of one plane.",
                )
            head, graph = _stardist(tensor, stardist[0].kwargs, grid)
            kept.append(graph)
        else:
            kept.append(tensor)
    return tuple(kept), head


def _stardist(
    tensor: TensorSpec, told: Mapping[str, Any], grid: tuple[int, int]
) -> tuple[dict[str, Any], TensorSpec]:
    """Return the head, and the graph's tensor for the described image of labels."""
    strides = dict(zip("yx", grid, strict=True))
    head = {
        "head": "stardist",
        "threshold": told["prob_threshold"],
        "nms_overlap": told["nms_threshold"],
        "n_rays": told["n_rays"],
    }
    if grid[0] == grid[1]:
        head["grid"] = grid[0]

    def of_graph(axis: Axis) -> Axis:
        if axis.letter == "c":
            return Axis("c", int(told["n_rays"]) + 1)
        step = strides.get(axis.letter, 1)
        size = None if axis.size is None else axis.size // step
        return replace(axis, size=size, stride=axis.stride * step)

    axes = tuple(of_graph(a) for a in tensor.axes)
    return head, replace(
        tensor,
        axes=axes,
        dtype="float32",
        steps=tuple(
            s
            for s in tensor.steps
            if s.id not in {"stardist_postprocessing", "ensure_dtype"}
        ),
        probability=False,
    )


_NOT_OURS = {
    "cellpose_flow_dynamics": "it follows flows pixel by pixel for seconds, outside "
    "what an ONNX graph can say",
    "custom": "it is Python code of the package, which is not run here",
}
