"""Two classical models as ONNX graphs, and the same in numpy as their reference.

``gaussian`` smooths; ``dog`` finds blobs by a difference of Gaussians, measured in
units of the frame's own noise. The graphs are made by ``build_classical``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

GAUSSIAN_SIGMA_PX = 1.0
_GAUSSIAN_RADIUS_PX = 4

PIXEL_SIZE_UM = 0.65
RADIUS_UM = 6.0
DOG_STEP_PX = 4

# In pixels of the map, which are 2 × 2 of the frame's. 3 of them are 3.9 µm: wide
# enough that a nucleus of 6 µm radius, also an elongated one, has one peak, and narrow
# enough that daughters 13 µm apart have two. 1.6 is the ratio nearest to a Laplacian.
_FINE_SIGMA = 3.0
_COARSE_SIGMA = 4.8

# Response at which the score is 0.5, in standard deviations of noise. The largest of an
# empty 512 × 512 frame lies near 4.5, and near 7.5 once the frame was denoised.
_HALF_SCORE = 9.0

# Noise is told by a band finer than any nucleus, [1 -2 1] along both axes, in tiles of
# 16 frame pixels, from the quietest quarter of the tiles: those without nuclei. White
# noise is seen best at the map's scale; noise that a denoiser has made smooth is seen
# only one scale up, where nuclei leak in too, so that this estimate is held between 1
# and 6 times the other. The factors include what the quietest quarter misses.
_BAND = np.outer([1.0, -2.0, 1.0], [1.0, -2.0, 1.0])
_FINE_FACTOR = 1.25
_COARSE_FACTOR = 1.6
_COARSE_AT_MOST = 6.0
_FINE_TILE = 8
_COARSE_TILE = 4

# Counts are whole: noise per map pixel is at least half that of rounding them.
_LEAST_NOISE = 0.5 / np.sqrt(12.0)

_OPSET = 18
_IR_VERSION = 9


def gaussian_kernel(sigma: float, radius: int) -> Floats:
    """Return a sampled Gaussian of ``2 * radius + 1`` taps with sum 1."""
    x = np.arange(-radius, radius + 1, dtype=np.float64)
    kernel: Floats = np.exp(-(x**2) / (2 * sigma**2))
    normal: Floats = kernel / kernel.sum()
    return normal


def _radius(sigma: float) -> int:
    return int(np.ceil(3 * sigma))


def _response_noise() -> float:
    """Return the sd of the difference of Gaussians of white noise with sd 1."""
    radius = 2 * _radius(_COARSE_SIGMA)
    fine = gaussian_kernel(_FINE_SIGMA, radius)
    coarse = gaussian_kernel(_COARSE_SIGMA, radius)
    both = np.outer(fine, fine) - np.outer(coarse, coarse)
    return float(np.sqrt((both**2).sum()))


def _band_factors() -> tuple[float, float]:
    """Return what turns the mean of the bands' absolute into noise of the response."""
    # the mean absolute value of white noise with sd s is s * sqrt(2 / pi)
    one = _response_noise() / (np.sqrt((_BAND**2).sum()) * np.sqrt(2 / np.pi))
    # one scale up, the mean of 2 × 2 pixels has half the noise
    return one * _FINE_FACTOR, 2 * one * _COARSE_FACTOR


class _Graph:
    """A graph under construction."""

    def __init__(self) -> None:
        import onnx

        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, name: str, value: Any) -> str:
        self._constants.append(self._onnx.numpy_helper.from_array(value, name))
        return name

    def node(
        self, op: str, inputs: list[str], name: str, *more: str, **attributes: Any
    ) -> str:
        self._nodes.append(
            self._onnx.helper.make_node(
                op, inputs, [name, *more], name=name, **attributes
            )
        )
        return name

    def blur(self, source: str, kernel: Floats, name: str) -> str:
        """Append a separable convolution with a mirrored border."""
        radius = len(kernel) // 2
        pads = np.array([0, 0, radius, radius] * 2, np.int64)
        taps = kernel.astype(np.float32)
        self.node(
            "Pad",
            [source, self.constant(f"{name}_pads", pads)],
            f"{name}_padded",
            mode="reflect",
        )
        across = self.constant(f"{name}_across", taps.reshape(1, 1, 1, -1))
        down = self.constant(f"{name}_down", taps.reshape(1, 1, -1, 1))
        self.node("Conv", [f"{name}_padded", across], f"{name}_rows")
        return self.node("Conv", [f"{name}_rows", down], name)

    def serialized(self, name: str, given: list[Any], got: list[Any]) -> bytes:
        helper, kind = self._onnx.helper, self._onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info("raw", kind, given)],
            [helper.make_tensor_value_info(name, kind, got)],
            self._constants,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", _OPSET)],
            ir_version=_IR_VERSION,
            producer_name="smartscope",
        )
        self._onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))


def gaussian_onnx() -> bytes:
    """Return the smoothing model: float32 ``(1, 1, Y, X)`` in and out."""
    graph = _Graph()
    kernel = gaussian_kernel(GAUSSIAN_SIGMA_PX, _GAUSSIAN_RADIUS_PX)
    graph.blur("raw", kernel, "restored")
    shape = [1, 1, "y", "x"]
    return graph.serialized("restored", shape, shape)


def dog_onnx() -> bytes:
    """Return the blob model: counts ``(1, 1, Y, X)`` in, score at half the size out."""
    graph = _Graph()
    halve = {"kernel_shape": [2, 2], "strides": [2, 2]}
    graph.node("AveragePool", ["raw"], "half", **halve)
    graph.node("AveragePool", ["half"], "quarter", **halve)
    graph.blur("half", gaussian_kernel(_FINE_SIGMA, _radius(_FINE_SIGMA)), "fine")
    # Gaussians add in squares: the coarse one is the fine one, smoothed again
    rest = float(np.sqrt(_COARSE_SIGMA**2 - _FINE_SIGMA**2))
    graph.blur("fine", gaussian_kernel(rest, _radius(rest)), "coarse")
    graph.node("Sub", ["fine", "coarse"], "response")
    noise = _append_noise(graph)
    half_score = graph.constant("half_score", np.array(_HALF_SCORE, np.float32))
    graph.node("Mul", [noise, half_score], "unit")
    graph.node("Relu", ["response"], "positive")
    graph.node("Add", ["positive", "unit"], "sum")
    graph.node("Div", ["positive", "sum"], "score")
    return graph.serialized("score", [1, 1, "y", "x"], [1, 1, "half_y", "half_x"])


def _append_noise(graph: _Graph) -> str:
    """Append the estimate of the noise of the response; return its name."""
    graph.constant("band", _BAND.astype(np.float32).reshape(1, 1, 3, 3))
    graph.constant("flat", np.array([-1], np.int64))
    graph.constant("four", np.array([4], np.int64))
    graph.constant("one", np.array([1], np.int64))
    graph.constant("last", np.array(-1, np.int64))
    sources = ("half", "quarter")
    tiles = (_FINE_TILE, _COARSE_TILE)
    for source, tile, factor in zip(sources, tiles, _band_factors(), strict=True):
        graph.node("Conv", [source, "band"], f"{source}_band")
        graph.node("Abs", [f"{source}_band"], f"{source}_size")
        graph.node(
            "AveragePool",
            [f"{source}_size"],
            f"{source}_tiles",
            kernel_shape=[tile, tile],
            strides=[tile, tile],
        )
        graph.node("Reshape", [f"{source}_tiles", "flat"], f"{source}_list")
        graph.node("Shape", [f"{source}_list"], f"{source}_count")
        graph.node("Div", [f"{source}_count", "four"], f"{source}_fourth")
        graph.node("Add", [f"{source}_fourth", "one"], f"{source}_quiet")
        graph.node(
            "TopK",
            [f"{source}_list", f"{source}_quiet"],
            f"{source}_sorted",
            f"{source}_order",
            largest=0,
            sorted=1,
        )
        graph.node("Gather", [f"{source}_sorted", "last"], f"{source}_level")
        graph.constant(f"{source}_factor", np.array(factor, np.float32))
        graph.node("Mul", [f"{source}_level", f"{source}_factor"], f"{source}_noise")
    at_most = np.array(_COARSE_AT_MOST, np.float32)
    graph.node("Mul", ["half_noise", graph.constant("at_most", at_most)], "highest")
    graph.node("Min", ["quarter_noise", "highest"], "bounded")
    least = np.array(_LEAST_NOISE * _response_noise(), np.float32)
    graph.constant("least", least)
    return graph.node("Max", ["bounded", "half_noise", "least"], "noise")


def _blurred(image: Floats, kernel: Floats) -> Floats:
    from scipy.ndimage import convolve1d

    for axis in (0, 1):
        # scipy calls "mirror" what ONNX calls "reflect": the edge is not repeated
        image = convolve1d(image, kernel, axis=axis, mode="mirror")
    return image


def _halved(image: Floats) -> Floats:
    rows, columns = image.shape
    mean: Floats = image.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
    return mean


def _level(image: Floats, tile: int) -> float:
    from scipy.signal import convolve2d

    size = np.abs(convolve2d(image, _BAND, mode="valid"))
    rows, columns = (n // tile for n in size.shape)
    tiles = size[: rows * tile, : columns * tile].reshape(rows, tile, columns, tile)
    means = np.sort(tiles.mean(axis=(1, 3)).ravel())
    return float(means[len(means) // 4])


def gaussian_reference(image: npt.NDArray[Any]) -> Floats:
    """Return what the smoothing model should give for an image ``(Y, X)``."""
    kernel = gaussian_kernel(GAUSSIAN_SIGMA_PX, _GAUSSIAN_RADIUS_PX)
    return _blurred(image.astype(np.float64), kernel)


def dog_reference(image: npt.NDArray[Any]) -> Floats:
    """Return what the blob model should give for an image ``(Y, X)``."""
    half = _halved(image.astype(np.float64))
    fine = _blurred(half, gaussian_kernel(_FINE_SIGMA, _radius(_FINE_SIGMA)))
    rest = float(np.sqrt(_COARSE_SIGMA**2 - _FINE_SIGMA**2))
    coarse = _blurred(fine, gaussian_kernel(rest, _radius(rest)))
    factors = _band_factors()
    near = _level(half, _FINE_TILE) * factors[0]
    far = _level(_halved(half), _COARSE_TILE) * factors[1]
    least = _LEAST_NOISE * _response_noise()
    noise = max(min(far, _COARSE_AT_MOST * near), near, least)
    positive = np.maximum(fine - coarse, 0)
    score: Floats = positive / (positive + _HALF_SCORE * noise)
    return score
