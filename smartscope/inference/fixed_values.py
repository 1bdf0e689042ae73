"""Values that a user fixes for a model's normalising step."""

from __future__ import annotations

from smartscope.errors import Refused
from smartscope.inference.settings import NormalisationSettings
from smartscope.inference.tensor import TensorSpec


def pairs_of(
    settings: NormalisationSettings, spec: TensorSpec, *, means: bool
) -> list[tuple[float, float]]:
    """Return the pairs of values as they were given, none if they are not fixed.

    Parameters
    ----------
    settings : NormalisationSettings
        What the user said.
    spec : TensorSpec
        Input of the model.
    means : bool
        They are means and standard deviations; else the counts that become 0 and 1.

    Raises
    ------
    smartscope.errors.Refused
        If a pair can scale nothing, or there are not as many as channels.
    """
    pairs: list[tuple[float, float]] = []
    plain: list[float] = []
    for value in settings.values or ():
        if isinstance(value, tuple):
            pairs.append(value)
        else:
            plain.append(value)
    if plain:
        pairs = [(plain[0], plain[1])]
    for first, second in pairs:
        if not second > (0 if means else first):
            what = (
                "mean and standard deviation"
                if means
                else "the counts that become 0 and 1"
            )
            raise Refused(
                f"normalisation: the fixed values {first:g} and {second:g} are no pair "
                f"of {what}.",
                rule="A standard deviation is above 0."
                if means
                else "The second count is above the first.",
                way_out="Give two numbers in this order.",
            )
    if pairs and spec.channels is not None:
        check_pairs(len(pairs), spec.channels)
    return pairs


def check_pairs(pairs: int, channels: int) -> None:
    """See whether there are as many pairs as channels, or one for all.

    Raises
    ------
    smartscope.errors.Refused
        If not.
    """
    if pairs not in (1, channels):
        raise Refused(
            f"normalisation: {pairs} pairs of fixed values are given and the model "
            f"takes {channels} channels.",
            rule="One pair for all channels, or one for each.",
            way_out="Give as many pairs as channels.",
        )
