"""Which places train a model, watch over its training, and judge it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from smartscope.pairs.example import Split

# so many places must judge, if there are enough to learn from as well
_JUDGES = 4


def groups_of(
    centres_um: Mapping[str, tuple[float, float]], field_um: tuple[float, float]
) -> dict[str, str]:
    """Return of each place the first one of those whose fields hang together.

    Parameters
    ----------
    centres_um : Mapping
        Stage x, y by place.
    field_um : tuple of float
        Width and height of a field.
    """
    first: dict[str, str] = {name: name for name in centres_um}

    def root(name: str) -> str:
        while first[name] != name:
            name = first[name]
        return name

    names = list(centres_um)
    for i, name in enumerate(names):
        for other in names[:i]:
            a, b = centres_um[name], centres_um[other]
            if all(abs(a[k] - b[k]) < field_um[k] for k in (0, 1)):
                first[root(name)] = root(other)
    return {name: root(name) for name in names}


def split_places(
    groups: Mapping[str, str], *, seed: int, validation: float, test: float
) -> dict[str, Split]:
    """Return the split of each place; those of one group go together.

    The order is that of a hash over seed and group, so that it does not depend on how
    many places there are or in which order they were taken. Where there are six groups
    or more, at least four judge.

    Parameters
    ----------
    groups : Mapping
        As `groups_of` gives it.
    seed : int
        Of the experiment.
    validation, test : float
        Shares of the groups.
    """
    names = sorted(set(groups.values()), key=lambda name: _drawn(seed, name))
    n = len(names)
    judges = round(test * n)
    if n >= _JUDGES + 2 and test > 0:
        judges = max(judges, _JUDGES)
    elif n >= 3 and test > 0:
        judges = max(judges, 1)
    watches = max(round(validation * n), 1 if validation > 0 and n >= 3 else 0)
    watches = max(0, min(watches, n - judges - 1))
    by_group: dict[str, Split] = {}
    for i, name in enumerate(names):
        by_group[name] = (
            "test" if i < judges else "validation" if i < judges + watches else "train"
        )
    return {place: by_group[group] for place, group in groups.items()}


def _drawn(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()
