"""Chance that can be replayed: a number drawn from a seed and a name."""

from __future__ import annotations

import hashlib


def drawn(seed: int, *what: object) -> float:
    """Return a number that is uniform in [0, 1) over seeds and names.

    The same seed and name give the same number on every machine and in every process:
    it is the first 53 bits of the SHA-256 of their text.

    Parameters
    ----------
    seed : int
        Of the experiment.
    *what : object
        What is drawn for, such as a control's name and a frame id.
    """
    text = "\x1f".join(map(str, (seed, *what)))
    digest = hashlib.sha256(text.encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
