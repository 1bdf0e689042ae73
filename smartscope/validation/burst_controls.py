"""Placebo bursts and sham: what happens where a burst was, or was not, or by chance."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smartscope.validation.intervals import share_interval
from smartscope.validation.view import View, views

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Course:
    """What came of all bursts of a run, for its controls to look up.

    Attributes
    ----------
    frames, analysed, occurrences, decisions, outcomes : sequence of Mapping
        Of the run, as its reader gives them.
    signs : collection of str
        Occurrences that count as something happening; empty: all.
    within_s : float
        How long after the decision they count.
    within_um : float or None
        How near to the middle of the burst they count; None: anywhere in its field.
    """

    frames: Sequence[Record]
    analysed: Sequence[Record]
    occurrences: Sequence[Record]
    decisions: Sequence[Record]
    outcomes: Sequence[Record]
    signs: Collection[str] = ()
    within_s: float = 300.0
    within_um: float | None = None

    def taken(self, policies: Collection[str]) -> list[Record]:
        """Return the decisions of some policies whose bursts have frames."""
        frames = {o["decision_id"]: o["frames"] for o in self.outcomes}
        return [
            d
            for d in self.decisions
            if d["policy"] in policies
            and d["wish"]["kind"] == "burst"
            and frames.get(d["decision_id"], 0) > 0
        ]

    def withheld(self, policies: Collection[str]) -> list[Record]:
        """Return the decisions of some policies that were drawn as sham."""
        return [
            d
            for d in self.decisions
            if d["policy"] in policies and d["verdict"] == "sham"
        ]

    @property
    def window(self) -> str:
        """When and where something counts, in words."""
        if self.within_um is None:
            return f"within {self.within_s:g} s"
        return f"within {self.within_s:g} s and {self.within_um:g} µm"

    def happened(self, decisions: Iterable[Record]) -> dict[str, Any]:
        """Return at how many of some bursts something happened.

        Something has happened if one of the signs was recognised after the frame of the
        decision, at most ``within_s`` later, inside the field that the burst has or
        would have had and at most ``within_um`` from its middle. Bursts whose time was
        not over when the run ended are left out, also if something has happened by
        then.

        Returns
        -------
        dict
            ``bursts``, ``happened``, ``share`` (None without bursts), ``interval``
            (95 %), ``too_late``.
        """
        ended_s = max((a["time_s"] for a in self.analysed), default=0.0)
        fields = {f["frame_id"]: f for f in self.frames}
        signs = [
            o for o in self.occurrences if not self.signs or o["name"] in self.signs
        ]
        k = n = late = 0
        for decision in decisions:
            header = fields.get(decision["frame_id"])
            if header is None:
                continue
            until_s = decision["time_s"] + self.within_s
            if until_s > ended_s:
                late += 1
                continue
            wish = decision["wish"]
            shown = _moved(views([header])[0], wish)
            n += 1
            k += any(
                decision["time_s"] < o["seen_s"] <= until_s
                and shown.shows(o["x_um"], o["y_um"])
                and math.hypot(o["x_um"] - wish["x_um"], o["y_um"] - wish["y_um"])
                <= (self.within_um or math.inf)
                for o in signs
            )
        low, high = share_interval(k, n)
        return {
            "bursts": n,
            "happened": k,
            "share": round(k / n, 4) if n else None,
            "interval": (round(low, 4), round(high, 4)),
            "too_late": late,
        }


def compare_placebo(course: Course, names: Mapping[str, str]) -> dict[str, Any]:
    """Compare bursts at hits with those at chance.

    It assumes that bursts are independent of each other (those whose fields and times
    overlap are not), and that what happens is recognised as well after one as after the
    other: where a hit makes the survey faster, more is seen after hits. A thing that
    was hit may be silent for the refractory time of what it was hit for; let ``signs``
    name what shall follow.

    Parameters
    ----------
    course : Course
        Of the run.
    names : Mapping of str to str
        From a burst policy's name to that of its placebo.

    Returns
    -------
    dict
        ``real`` and ``placebo``, each as ``Course.happened`` gives it, ``within_s``,
        ``says``.
    """
    real = course.happened(course.taken(set(names)))
    placebo = course.happened(course.taken(set(names.values())))
    says = (
        f"In {_part(placebo)} placebo bursts something happened {course.window}, in "
        f"{_part(real)} real ones.{_late(real, placebo)}"
    )
    return {
        "real": real,
        "placebo": placebo,
        "within_s": course.within_s,
        "says": says,
    }


def compare_sham(course: Course, policies: Collection[str]) -> dict[str, Any]:
    """Compare bursts that were taken with those that were withheld.

    Which is which was drawn, so that both kinds of cells are alike: a difference is
    what the burst itself does, its light above all. It assumes that bursts are
    independent of each other, and that what happens is recognised as well after one as
    after the other: where frames of bursts are analysed too, more is seen after those
    that were taken.

    Parameters
    ----------
    course : Course
        Of the run.
    policies : collection of str
        Names of the burst policies of which a share is withheld.

    Returns
    -------
    dict
        ``taken`` and ``sham``, each as ``Course.happened`` gives it, ``within_s``,
        ``says``.
    """
    taken = course.happened(course.taken(policies))
    sham = course.happened(course.withheld(policies))
    says = (
        f"Something happened {course.window} of {_part(sham)} bursts that were "
        f"withheld (sham), and of {_part(taken)} that were taken."
        f"{_late(taken, sham)}"
    )
    return {"taken": taken, "sham": sham, "within_s": course.within_s, "says": says}


def _part(told: Record) -> str:
    if not told["bursts"]:
        return "none of 0"
    low, high = told["interval"]
    return (
        f"{told['happened']} of {told['bursts']} ({100 * low:.0f}-{100 * high:.0f} %)"
    )


def _late(*told: Record) -> str:
    late = sum(each["too_late"] for each in told)
    return f" {late} came too near to the end to tell." if late else ""


def _moved(view: View, wish: Record) -> View:
    """Return a field like that of a frame, centred where a burst is."""
    half_x = (view.x_um[1] - view.x_um[0]) / 2
    half_y = (view.y_um[1] - view.y_um[0]) / 2
    if (roi_um := wish.get("roi_um")) is not None:
        half_x, half_y = min(half_x, roi_um / 2), min(half_y, roi_um / 2)
    x_um, y_um = wish["x_um"], wish["y_um"]
    return View(
        view.place,
        view.time_s,
        (x_um - half_x, x_um + half_x),
        (y_um - half_y, y_um + half_y),
    )
