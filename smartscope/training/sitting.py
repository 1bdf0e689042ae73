"""One training in its folder, from its beginning to its package."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypedDict, TypeVar, Unpack

from smartscope.training.curves import Shown
from smartscope.training.folder import (
    CHECKPOINT,
    PACKAGE,
    begun_with,
    drawn_and_told,
    read_record,
    write_record,
)
from smartscope.training.learning import Course, Learner, Task
from smartscope.training.provenance import (
    Imprint,
    model_readme,
    packed_record,
    record_of,
)
from smartscope.training.settings import LearnSettings
from smartscope.training.start import Start

Settings = TypeVar("Settings", bound=LearnSettings)


@dataclass(frozen=True)
class Trained:
    """A model that was made.

    Attributes
    ----------
    package : Path
        Of bioimage.io; what 'smartscope validate' and a run take.
    course : Course
        How the training went.
    figures : dict
        On images it did not learn from.
    """

    package: Path
    course: Course
    figures: dict[str, Any]


class Asked(TypedDict, total=False):
    """What may be asked of any training beside its data and settings.

    Attributes
    ----------
    name : str
        Of the model; default: that of the data.
    begin_with : path or str, optional
        What it begins with, see ``Start.read``; the network has its size, unless
        another one was named.
    resume : bool
        Go on with the checkpoint in the folder.
    finish : bool
        Make the package of what is there, without another step.
    authors, license_id
        For the package. What a resumed training does not say again is as it was.
    told : Callable, optional
        Called after each look at validation.
    ticked : Callable, optional
        Called before the first step and after each.
    """

    name: str
    begin_with: str | Path | None
    resume: bool
    finish: bool
    authors: tuple[str, ...]
    license_id: str | None
    told: Callable[[Course], None] | None
    ticked: Callable[[Course], None] | None


@dataclass(frozen=True)
class MadeOf:
    """What a training is made of.

    Attributes
    ----------
    path : Path
        Of the data, or what simulated ones are called.
    images : Mapping
        How many of each part.
    learned_from : sequence of str
        Hashes of the images that are learned from or watch.
    more : Mapping
        Kept in the record as it is.
    """

    path: Path
    images: Mapping[str, int]
    learned_from: Sequence[str]
    more: Mapping[str, Any]


@dataclass(frozen=True)
class Sitting(Generic[Settings]):
    """A training that was begun, or is gone on with.

    Attributes
    ----------
    out : Path
        Its folder.
    settings : LearnSettings
        Of now: those of the beginning, where it is gone on with.
    imprint : Imprint
        For the package.
    start : Start or None
        What it begins with.
    asked : Asked
        As it was asked for.
    """

    out: Path
    settings: Settings
    imprint: Imprint
    start: Start | None
    asked: Asked

    @classmethod
    def opened(
        cls,
        out: str | Path,
        settings: Settings,
        sizes: Collection[str],
        **asked: Unpack[Asked],
    ) -> Sitting[Settings]:
        """See that it can be begun, or gone on with; nothing is written yet.

        Parameters
        ----------
        out : path
            Folder to be made, or with the checkpoint.
        settings : LearnSettings
            How it is to be.
        sizes : collection of str
            Settings that say how large the network is.
        **asked
            See ``Asked``.

        Raises
        ------
        smartscope.errors.Refused
            If the folder, the license or what it begins with is not what it should be.
        """
        out = Path(out)
        imprint = Imprint(
            asked.get("name", ""),
            asked.get("authors", ("unknown",)),
            asked.get("license_id"),
        )
        resume, begin_with = asked.get("resume", False), asked.get("begin_with")
        settings = begun_with(out, settings, resume=resume)
        start = None if resume or begin_with is None else Start.read(begin_with)
        if start is not None:
            settings = start.sized(settings, sizes)
        return cls(out, settings, imprint.or_that_of(read_record(out)), start, asked)

    def learned(
        self,
        task: Task,
        made_of: MadeOf,
        *,
        own: Collection[str] = (),
        examples: Callable[[Learner], Sequence[Shown]] | None = None,
    ) -> Learner:
        """Learn until it is enough; the folder is made, with checkpoint and curves.

        Parameters
        ----------
        task : Task
            What is learned.
        made_of : MadeOf
            For the record, which is written before the first step.
        own : collection of str
            Parts of the network that do not begin with those of another one.
        examples : Callable, optional
            Returns patches as the best network so far makes them.

        Raises
        ------
        smartscope.errors.SmartscopeError
            If it cannot begin as asked, the loss is no number any more, or memory is
            not enough.
        KeyboardInterrupt
            After the checkpoint is written.
        """
        learner = Learner(task, self.settings)
        if self.start is not None:
            learner.begin_with(self.start.fitted(learner.net, own=own))
        self.out.mkdir(parents=True, exist_ok=True)
        learner.keep(self.out / CHECKPOINT)
        write_record(self.out, self.record(made_of, learner.course))
        if self.asked.get("finish"):
            learner.finish()
        else:
            shown = None if examples is None else lambda: examples(learner)
            look = drawn_and_told(self.out, self.asked.get("told"), shown)
            learner.learn(look, self.asked.get("ticked"))
        return learner

    def record(self, made_of: MadeOf, course: Course, **more: Any) -> dict[str, Any]:
        """Return what the training has been, as plain values."""
        return record_of(
            made_of.path,
            made_of.images,
            made_of.learned_from,
            self.settings,
            course,
            self.imprint,
            begun_with=None if self.start is None else self.start.source,
            **made_of.more,
            **more,
        )

    def packed(
        self,
        made: Callable[..., float],
        name: str,
        record: dict[str, Any],
        *,
        told: str,
        limits: str,
    ) -> Path:
        """Make the package, and write the record with its deviation.

        Parameters
        ----------
        made : Callable
            Given the folder, exports the network with ``readme``, ``record``,
            ``authors`` and ``license_id`` and returns how far the graph is off.
        name : str
            Of the model.
        record : dict
            With ``figures``, to which the deviation is added.
        told, limits : str
            Figures and limits in words.
        """
        package = self.out / PACKAGE
        record["figures"]["deviation_of_export"] = made(
            package,
            readme=model_readme(name, record, told, limits),
            record=packed_record(record),
            authors=self.imprint.authors,
            license_id=self.imprint.license_id,
        )
        write_record(self.out, record)
        return package
