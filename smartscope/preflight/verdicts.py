"""Whether the models of an experiment have been judged on its microscope."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from smartscope.validation import find_verdict
from smartscope.zoo import CLASSICAL, zoo_names, zoo_path

if TYPE_CHECKING:
    from smartscope.recognition import ModelDetector


def verdict_notices(detector: ModelDetector, microscope: str) -> Iterator[str]:
    """Yield for each model that has no passing verdict here that it has none.

    The classical ones are exempt: what they do is known.

    Parameters
    ----------
    detector : ModelDetector
        With its models.
    microscope : str
        Its name.
    """
    exempt = {zoo_path(name) for name in CLASSICAL & set(zoo_names())}
    for role, model in detector.models.items():
        if Path(model["path"]).parent in exempt:
            continue
        name = model["name"]
        verdict = find_verdict(model["sha256"], microscope)
        way = (
            f"'smartscope validate' judges it on truths that were taken on "
            f"'{microscope}'."
        )
        if verdict is None:
            yield (
                f"No verdict: nobody has shown that {name} ({role}) is right on "
                f"'{microscope}'. {way}"
            )
        elif verdict.described_sha256 != model.get("described_sha256", ""):
            yield (
                f"No verdict: {name} ({role}) is described otherwise than when it was "
                f"judged on '{microscope}' ({verdict.made[:10]}). {way}"
            )
        elif not verdict.passed:
            yield f"FAILED VERDICT of {verdict.made[:10]}: {verdict.says}"
