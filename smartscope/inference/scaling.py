"""Statistics of a series of frames, for a model's normalising step.

A frame normalised for itself looks the same whether it is bright or empty; over a
series it keeps its brightness. Here stands what is subtracted and divided by, of each
channel, and nothing of how: the step is in ``operations.py`` and ``fuse_steps.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from smartscope.errors import AnalysisFailed, Refused
from smartscope.inference.fixed_values import check_pairs, pairs_of
from smartscope.inference.frame_statistics import (
    Learned,
    mean_and_variance,
    percentiles,
)
from smartscope.inference.normalize import chain, letter_of
from smartscope.inference.settings import NormalisationSettings
from smartscope.inference.step_words import in_words
from smartscope.inference.tensor import Step, TensorSpec

Plane = npt.NDArray[Any]

_MEANS, _RANGE = "zero_mean_unit_variance", "scale_range"
_EPS = 1e-6  # of the specification
_FRAME_BY_FRAME = "Leave 'normalisation' out, or set it to 'frame'."


class Scaling:
    """What the normalising step of one model subtracts and divides by.

    Parameters
    ----------
    settings : NormalisationSettings or None
        None: as the package says. It means a series where the step's axes hold the
        batch, or (0.4) its mode is ``per_dataset``; otherwise each frame.
    spec : TensorSpec
        Input of the model.
    name : str
        Of the graph's input that the values go into.

    Attributes
    ----------
    name : str
        As given.
    active : bool
        False: each frame for itself, or no such step; the steps are the package's.
    running : bool
        Active, and the values never stop changing.
    told : str
        What is done, for the user.
    steps : tuple of Step
        Those of the input; if active, the first that takes statistics is replaced by
        ``Step("series_scaling", {"input": name})``.

    Raises
    ------
    smartscope.errors.Refused
        If a normalisation is asked for that the model's steps have no place for.
    """

    def __init__(
        self, settings: NormalisationSettings | None, spec: TensorSpec, *, name: str
    ) -> None:
        self.name = name
        self.active = self.running = False
        self.steps = spec.steps
        self.told = in_words(spec.steps)
        self._spec = spec
        self._learned: dict[str, Learned] = {}
        self._frames = 0
        index = next(
            (i for i, s in enumerate(spec.steps) if s.id in (_MEANS, _RANGE)), None
        )
        if index is None:
            _refuse_without_step(settings, spec)
            return
        step = spec.steps[index]
        over = settings or _as_described(step)
        self._over, self._frames = over.over, over.frames
        self._kwargs = step.kwargs
        self._means = step.id == _MEANS
        axes = step.kwargs.get("axes")
        letters = set(spec.letters if axes is None else map(letter_of, axes))
        self._together = "c" in letters and spec.channels != 1
        whole = {"y", "x"} <= letters
        self.active = over.over != "frame" and whole
        if not whole and settings is not None and over.over != "frame":
            raise Refused(
                f"normalisation: {over.over} is asked for, and the model normalises "
                f"along {' and '.join(sorted(letters))} only.",
                rule="A series has statistics of whole frames.",
                way_out=_FRAME_BY_FRAME,
            )
        if not self.active:
            self.told = f"each frame for itself: {in_words(spec.steps)}"
            return
        self.running = over.over == "running"
        given = pairs_of(over, spec, means=self._means)
        self._fixed = [self._pair(first, second) for first, second in given]
        self.told = self._described(step, given, package=settings is None)
        before = spec.steps[:index]
        if step.kwargs.get("reference_tensor") or all(
            s.id == "ensure_dtype" and str(s.kwargs.get("dtype")).startswith("float")
            for s in before
        ):
            before = ()  # it takes them of the counts as they come
        self._before = chain(before, spec.letters) if before else None
        self.steps = (
            *spec.steps[:index],
            Step("series_scaling", {"input": name}),
            *spec.steps[index + 1 :],
        )

    def learning(self, channels: tuple[str, ...]) -> bool:
        """Return True if the next frame of these channels changes the values."""
        if not self.active or self._over == "fixed":
            return False
        known = [self._learned.get(key) for key in self._keys(channels)]
        return self._over == "running" or any(
            k is None or k.frames < self._frames for k in known
        )

    @property
    def unfinished(self) -> bool:
        """True while a series that has begun has fewer frames than it shall be of."""
        return any(k.frames < self._frames for k in self._learned.values())

    def learn(self, planes: Sequence[Plane], channels: tuple[str, ...]) -> None:
        """Take in one frame; nothing happens once the values are frozen.

        Parameters
        ----------
        planes : Sequence of np.ndarray
            Each ``(Y, X)``, as the model gets them before its own steps: corrected, and
            of a second model what the first restored. Channel after channel, the oldest
            first; only the newest of each channel counts, so that a window counts no
            frame twice. A frame that is not finite is left out.
        channels : tuple of str
            Key of each channel.
        """
        if not self.learning(channels):
            return
        frames = len(planes) // len(channels)
        newest = self._processed(planes[frames - 1 :: frames])
        groups = [newest] if self._together else [[p] for p in newest]
        for key, group in zip(self._keys(channels), groups, strict=True):
            known = self._learned.get(key)
            if self._over == "running" or known is None or known.frames < self._frames:
                self._take(key, group)

    def values(
        self, channels: tuple[str, ...], length: int | None = None
    ) -> npt.NDArray[np.float32]:
        """Return what is subtracted and what is divided by.

        Parameters
        ----------
        channels : tuple of str
            Key of each channel.
        length : int, optional
            Of the tensor's channel axis, where that holds frames of one channel;
            default: as many as `channels`.

        Returns
        -------
        np.ndarray
            Shape ``(2, length)``, float32.

        Raises
        ------
        smartscope.errors.AnalysisFailed
            If no frame was learned yet.
        smartscope.errors.Refused
            If fixed values are given for another number of channels.
        """
        if self._over == "fixed":
            check_pairs(len(self._fixed), len(channels))
            pairs = self._fixed
        else:
            pairs = [self._learned_pair(key) for key in self._keys(channels)]
        length = length or len(channels)
        if len(pairs) == 1:
            pairs = pairs * length
        return np.asarray(pairs, np.float32).T.copy()

    def state(self) -> dict[str, Any]:
        """Return what was learned, as plain JSON values that are restored exactly."""
        return {key: asdict(learned) for key, learned in self._learned.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`; what was learned since is forgotten."""
        self._learned = {key: Learned(**told) for key, told in state.items()}

    def _keys(self, channels: tuple[str, ...]) -> tuple[str, ...]:
        return (" + ".join(channels),) if self._together else channels

    def _take(self, key: str, planes: Sequence[Plane]) -> None:
        """Combine what is known with one more frame, unless that is not finite."""
        if self._means:
            first, second = mean_and_variance(planes)
        else:
            low = float(self._kwargs.get("min_percentile", 0.0))
            high = float(self._kwargs.get("max_percentile", 100.0))
            first, second = percentiles(planes, (low, high))
        if not np.isfinite(first + second):
            return
        found = Learned(1, sum(p.size for p in planes), first, second)
        old = self._learned.get(key)
        if old is not None:
            share = 1 / min(old.frames + 1, self._frames)
            if self._over == "series" and self._means:
                share = found.pixels / (old.pixels + found.pixels)
            found = old.joined(found, share, variance=self._means)
        self._learned[key] = found

    def _processed(self, planes: Sequence[Plane]) -> list[Plane]:
        """Return planes as they come out of the steps before this one."""
        if self._before is None:
            return list(planes)
        letters = self._spec.letters
        dims = "cyx" if "c" in letters else "yx"
        order = [a for a in letters if a in dims]
        given = np.stack(planes) if "c" in letters else planes[0]
        tensor = np.transpose(given, [dims.index(a) for a in order])
        tensor = self._before(
            tensor[tuple(slice(None) if a in dims else None for a in letters)]
        )
        tensor = tensor[tuple(slice(None) if a in dims else 0 for a in letters)]
        tensor = np.transpose(tensor, [order.index(a) for a in dims])
        return list(tensor) if "c" in letters else [tensor]

    def _learned_pair(self, key: str) -> tuple[float, float]:
        if key not in self._learned:
            raise AnalysisFailed(
                f"The series of '{key}' has no frame yet with finite values.",
                rule="What is subtracted and divided by is learned from frames.",
                way_out="Look at the frame: is it empty, saturated or broken?",
            )
        learned = self._learned[key]
        spread = max(0.0, learned.second) ** 0.5
        return self._pair(learned.first, spread if self._means else learned.second)

    def _pair(self, first: float, second: float) -> tuple[float, float]:
        eps = float(self._kwargs.get("eps", _EPS))
        return first, (second if self._means else second - first) + eps

    def _described(
        self, step: Step, given: list[tuple[float, float]], *, package: bool
    ) -> str:
        if self._over == "fixed":
            words = (
                "mean {:g}, standard deviation {:g}"
                if self._means
                else "{:g} becomes 0, {:g} becomes 1"
            )
            return "fixed: " + "; ".join(words.format(*pair) for pair in given)
        whose = "of all channels together" if self._together else "of each channel"
        if self._over == "running":
            over = f"running, over about the last {self._frames} frames {whose}"
        else:
            over = f"series, over the first {self._frames} frames {whose}, then frozen"
        said = in_words([step])
        if not self._means:
            said += ", by the mean of each frame's percentiles"
        return f"{over}{' (the package says so)' if package else ''}: {said}"


def _as_described(step: Step) -> NormalisationSettings:
    axes = step.kwargs.get("axes") or ()
    series = "b" in map(letter_of, axes)
    return NormalisationSettings(
        over="series" if series else "frame", frames=20, values=None
    )


def _refuse_without_step(
    settings: NormalisationSettings | None, spec: TensorSpec
) -> None:
    if settings is None:
        return
    raise Refused(
        f"normalisation: {settings.over} is asked for, and no step before the model "
        f"takes statistics (its steps: {in_words(spec.steps)}).",
        rule=f"A series can replace what {_MEANS} and {_RANGE} measure.",
        way_out="Leave 'normalisation' out; for a bare .onnx file, name such a step in "
        "its card.",
    )
