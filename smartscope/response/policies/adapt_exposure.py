"""Keep the signal-to-noise ratio, guard saturation: by exposure or by power."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import Frame
from smartscope.response.actions import Action, SetExposure, SetPower
from smartscope.response.observation import Observation
from smartscope.response.settings import AdaptExposureSettings

_SAMPLED_PX = 20_000
_NORMAL = 1.4826  # s.d. over median absolute deviation, of a normal distribution


class AdaptExposure:
    """Sets exposure or power of a place and channel by what its frame shows.

    The ratio is the median over the things of their intensity (raw, over the local
    background) divided by the noise of the background. The noise is measured on the raw
    frame, from differences of neighbouring pixels: cells, gradients and vignetting drop
    out of them.

    The exposure is changed in proportion to ``target_snr / snr``. That law is exact
    where read noise rules; where shot noise rules the ratio grows as the root of the
    light, each step leaves half of the error (in logarithm) and none overshoots. The
    root law would be exact there and swing for ever where read noise rules.

    The 99.9th percentile of the pixels may not exceed ``saturation`` of full scale: the
    exposure is not raised beyond that and is lowered if it lies above. Pixels at full
    scale tell nothing about the light, so then it is lowered by ``max_change``.
    """

    def __init__(self, settings: AdaptExposureSettings) -> None:
        self.settings = settings

    def decide(self, seen: Observation) -> list[Action]:
        """Wish an exposure if the present one is off by more than the dead band."""
        settings, frame = self.settings, seen.frame
        state = frame.state
        now_ms = state.exposure_ms
        if not now_ms > 0 or not state.power_percent > 0:
            return []
        pixels = _sampled(frame.pixels)
        factor = self._for_signal(seen, pixels)
        headroom = self._headroom(frame, pixels)
        factor = headroom if factor is None and headroom < 1 else factor
        if factor is None:
            return []
        factor = min(factor, headroom)
        factor = min(max(factor, 1 / settings.max_change), settings.max_change)
        actions: list[Action] = []
        if settings.prefer == "power":
            now, (low, high) = state.power_percent, settings.power_percent
            power = self._changed(now, factor, (low, high))
            end = min(max(now * factor, low), high)
            if end != now and abs(factor - 1) > settings.dead_band:
                # a short way to the end of its range, and the rest by the exposure
                power = round(end, 2)
            if power is not None:
                actions.append(
                    SetPower(
                        place=frame.place, channel=state.channel, power_percent=power
                    )
                )
            # 1, unless the power's range ends before
            factor *= now / end
        exposure_ms = self._changed(now_ms, factor, settings.exposure_ms)
        if exposure_ms is not None:
            actions.append(
                SetExposure(
                    place=frame.place, channel=state.channel, exposure_ms=exposure_ms
                )
            )
        return actions

    def _changed(
        self, now: float, factor: float, span: tuple[float, float]
    ) -> float | None:
        """Return the value ``factor`` times as high, in its range; None: as it is."""
        low, high = span
        wished = round(min(max(now * factor, low), high), 2)
        # outside its range there is no dead band: a short way back is a way back
        inside = low <= now <= high
        if inside and abs(wished / now - 1) <= self.settings.dead_band:
            return None
        return wished

    def _for_signal(
        self, seen: Observation, pixels: npt.NDArray[np.float32]
    ) -> float | None:
        if not len(seen.detections):
            return None
        noise = _noise(pixels, whole=np.issubdtype(seen.frame.pixels.dtype, np.integer))
        signal = float(np.median(seen.detections.intensity))
        if not noise > 0 or not math.isfinite(signal):
            return None
        snr = signal / noise
        return self.settings.target_snr / snr if snr > 0 else self.settings.max_change

    def _headroom(self, frame: Frame, pixels: npt.NDArray[np.float32]) -> float:
        full = float(2**frame.bit_depth - 1)
        if np.issubdtype(frame.pixels.dtype, np.integer):
            full = min(full, float(np.iinfo(frame.pixels.dtype).max))
        bright = float(np.percentile(pixels, 99.9))
        if bright >= 0.995 * full:
            return 1 / self.settings.max_change
        return self.settings.saturation * full / bright if bright > 0 else math.inf


def _noise(pairs: npt.NDArray[np.float32], *, whole: bool) -> float:
    """Return the s.d. of one pixel from pairs of neighbours ``(n, 2)``, counts.

    Of whole counts the median is taken within its step: a noise of two counts would
    else come out as one or three.
    """
    apart = np.abs(pairs[:, 1] - pairs[:, 0])
    median = float(np.median(apart)) if len(apart) else 0.0
    if whole and len(apart):
        low, high = max(median - 0.5, 0.0), median + 0.5
        below, inside = (apart < low).sum(), ((apart >= low) & (apart < high)).sum()
        median = low + (high - low) * float(len(apart) / 2 - below) / max(inside, 1)
    return _NORMAL * median / math.sqrt(2)


def _sampled(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Return pairs ``(n, 2)`` of neighbours in a row, at most about 10 000."""
    step = max(1, math.isqrt(pixels.size // _SAMPLED_PX))
    even = pixels[::step, : pixels.shape[1] // 2 * 2]
    pairs = even.reshape(even.shape[0], -1, 2)[:, ::step]
    return pairs.reshape(-1, 2).astype(np.float32)
