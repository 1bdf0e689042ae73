"""What the whole loop costs the camera: rates against bare pymmcore-plus, in pairs."""

from __future__ import annotations

from typing import Any

from smartscope.bench.rig import (
    bare_rate,
    demo_microscope,
    loop_rate,
    looped,
    ratio,
    sequence,
)


def bench_acquisition(
    *, pairs: int = 3, single_frames: int = 150, stream_frames: int = 1000
) -> dict[str, Any]:
    """Measure acquisition with the loop attached against bare ``core.mda.run``.

    Both run on the same DemoCamera (FastImage, 512×512, 16 bit) with the same events,
    one after the other, several times; the loop stores every frame and analyses with a
    trivial detector in its own process.

    Parameters
    ----------
    pairs : int
        How often; the median ratio counts.
    single_frames : int
        Single events of 20 ms exposure in a run.
    stream_frames : int
        Frames of 2 ms in the one sequence of a run.

    Returns
    -------
    dict
        ``single_ratio``, ``stream_ratio``, ``hung_ratio`` (single events, with a policy
        that never returns), the rates in frames/s, ``hung_kills`` (how often its
        process was killed and started again) and ``stored`` (frames stored of frames
        acquired, over all runs).
    """
    rates: dict[str, list[float]] = {
        k: [] for k in ("bare_single", "single", "bare_stream", "stream", "hung")
    }
    kills = stored = acquired = 0
    with demo_microscope() as scope:
        for _ in range(pairs):
            single = sequence(20, single_frames)
            rates["bare_single"].append(bare_rate(scope, single, sequenced=False))
            _, run = looped(scope, single, sequenced=False)
            rates["single"].append(loop_rate(run))
            hung, hung_run = looped(
                scope,
                single,
                sequenced=False,
                response=({"policy": "smartscope.bench.policies:Hangs"},),
                timeout_s=0.5,
            )
            rates["hung"].append(loop_rate(hung_run))
            kills += hung.telemetry.counts().get("child_restarts", 0)
            stream = sequence(2, stream_frames)
            rates["bare_stream"].append(bare_rate(scope, stream, sequenced=True))
            _, streamed = looped(scope, stream, sequenced=True)
            rates["stream"].append(loop_rate(streamed))
            stored += len(run.frames) + len(hung_run.frames) + len(streamed.frames)
            acquired += 2 * single_frames + stream_frames
    return {
        "single_ratio": ratio(rates["single"], rates["bare_single"]),
        "stream_ratio": ratio(rates["stream"], rates["bare_stream"]),
        "hung_ratio": ratio(rates["hung"], rates["bare_single"]),
        "frames_per_s": {k: [round(r, 2) for r in v] for k, v in rates.items()},
        "hung_kills": kills,
        "stored": f"{stored} of {acquired}",
    }
