"""The survey of pairs: at each place low, high, low, as fast as the microscope can."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import useq

from smartscope.acquisition import EventTag
from smartscope.errors import Refused, nearest
from smartscope.inference import DetectSettings
from smartscope.settings import (
    AnalysisSettings,
    ControlsSettings,
    Experiment,
    PairsSettings,
)

Role = Literal["low", "high"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is taken at each place, in this order.

    Attributes
    ----------
    channel : str
        Preset.
    roles : tuple of {"low", "high"}
        Of each frame.
    low_ms, high_ms : float
        Exposures.
    low_percent, high_percent : float or None
        Powers; None: as it is set.
    """

    channel: str
    roles: tuple[Role, ...]
    low_ms: float
    high_ms: float
    low_percent: float | None = None
    high_percent: float | None = None

    @classmethod
    def of(cls, experiment: Experiment) -> Plan:
        """Return what an experiment asks for.

        Raises
        ------
        smartscope.errors.Refused
            If its channel is none of the survey's, or nobody says how long is exposed,
            or the high frames have no more light than the low ones.
        """
        wanted, survey = experiment.pairs, experiment.survey
        exposures = {c.config: c.exposure for c in survey.channels}
        analysed = [c for c in experiment.analysis.channels if c in exposures]
        channel = wanted.channel or next(iter((*analysed, *exposures)), None)
        if channel is None or (exposures and channel not in exposures):
            known = ", ".join(exposures) or "none"
            raise Refused(
                f"pairs.channel: the survey has no channel '{channel or ''}'."
                f"{nearest(channel or '', exposures)}",
                rule=f"Pairs are taken in a channel of the survey: {known}.",
                way_out="Name one of them.",
            )
        low_ms = wanted.low_ms or exposures[channel]
        if low_ms is None:
            raise Refused(
                f"Nobody says how long '{channel}' is exposed.",
                rule="The noisy frames have an exposure.",
                way_out="Give pairs.low_ms, or the survey's channel an exposure.",
            )
        brighter = wanted.high_percent is not None
        high_ms = wanted.high_ms or (low_ms if brighter else 10 * low_ms)
        plan = cls(
            channel,
            _roles(wanted),
            low_ms,
            high_ms,
            wanted.low_percent,
            wanted.high_percent,
        )
        plan._check()
        return plan

    def _check(self) -> None:
        low, high = self.low_percent, self.high_percent
        if (low is None) != (high is None) and "high" in self.roles:
            raise Refused(
                "pairs: only one of low_percent and high_percent is given.",
                rule="How much more light the clean frame has must be known.",
                way_out="Give both, or neither.",
            )
        more = self.high_ms * (high or 1.0) / (self.low_ms * (low or 1.0))
        if "high" in self.roles and more <= 1.5:
            raise Refused(
                f"pairs: the clean frame has {more:.2g} times the light of the noisy "
                "one.",
                rule="A clean frame has at least 1.5 times, and better ten times, the "
                "light of a noisy one.",
                way_out="Raise high_ms or high_percent.",
            )

    def exposure_ms(self, number: int) -> float:
        """Return the exposure of a frame of the plan."""
        return self.high_ms if self.roles[number] == "high" else self.low_ms

    def power_percent(self, number: int) -> float | None:
        """Return the power of a frame of the plan; None: as it is set."""
        return self.high_percent if self.roles[number] == "high" else self.low_percent


class PairsSurvey(useq.MDASequence):
    """A survey of one round whose channels are the frames of a pair.

    Each event carries the power that its frame asks for.
    """

    powers: tuple[float | None, ...] = ()

    def __iter__(self) -> Iterator[useq.MDAEvent]:  # type: ignore[override]  # as useq
        """Yield the events, tagged with their power."""
        for event in super().__iter__():
            number = event.index.get("c", 0)
            power = self.powers[number] if number < len(self.powers) else None
            tag = replace(EventTag.of_survey(event), power_percent=power)
            yield event if power is None else tag.on(event)


def pairs_experiment(experiment: Experiment, plan: Plan) -> Experiment:
    """Return the experiment that takes the pairs: the same places, once, no reflex.

    Planes, rounds and autofocus of the survey are left out.
    """
    survey = experiment.survey
    group = next(
        (c.group for c in survey.channels if c.config == plan.channel), "Channel"
    )
    channels: list[dict[str, Any]] = [
        {"config": plan.channel, "group": group, "exposure": plan.exposure_ms(n)}
        for n in range(len(plan.roles))
    ]
    powers = tuple(plan.power_percent(n) for n in range(len(plan.roles)))
    asked = any(power is not None for power in powers)
    return experiment.model_copy(
        update={
            "name": f"{experiment.name} pairs",
            "survey": PairsSurvey(
                axis_order="pgc",
                stage_positions=[_bare(p) for p in survey.stage_positions],
                grid_plan=survey.grid_plan,
                setup=survey.setup,
                channels=channels,
                powers=powers if asked else (),
            ),
            # a detector without a net, that nobody asks: no model need be there
            "analysis": AnalysisSettings(detect=DetectSettings(model="otsu")),
            "response": (),
            "controls": ControlsSettings(),
            "approve": None,
            "shadow": False,
            "mode": "free_run",
            "hardware_sequencing": False,
            "storage": experiment.storage.model_copy(update={"survey": "all"}),
        }
    )


def _roles(wanted: PairsSettings) -> tuple[Role, ...]:
    high = wanted.high_frames if wanted.method == "pairs" else 0
    low: Role = "low"
    bright: Role = "high"
    return (low,) * wanted.repeats + (bright,) * high + (low,) * wanted.after


def _bare(position: useq.AbsolutePosition) -> useq.AbsolutePosition:
    """Return a position with no more of its own than a grid."""
    inner = position.sequence
    if inner is None:
        return position
    grid = inner.grid_plan
    kept = None if grid is None else useq.MDASequence(grid_plan=grid)
    return position.model_copy(update={"sequence": kept})
