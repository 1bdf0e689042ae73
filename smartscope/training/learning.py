"""The learning itself: steps, looks at validation, the best weights kept, resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from smartscope.errors import BrokenOff, Refused
from smartscope.training.ahead import Ahead, Batch
from smartscope.training.settings import LearnSettings

_AVERAGE = 0.998  # of the weights over the steps: smoother than the last ones
_LOOKS = 8  # batches of a look
_LARGEST = 1e6  # loss; beyond it nothing is learned any more
_TIMED = 20  # steps after which it is known how many there is time for
_OVERFIT = 0.05  # so much above its best, while training still gets better


class Task(Protocol):
    """What is learned: a network, what it is shown, and what it should have said."""

    def new(self) -> nn.Module:
        """Return a network that knows nothing yet."""

    def batch(
        self, rng: np.random.Generator, *, watch: bool = False
    ) -> Sequence[npt.NDArray[Any]]:
        """Return what a step is made of, drawn from what is trained or looked at."""

    def loss(self, net: nn.Module, batch: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return how wrong a network is on a batch, a scalar."""


@dataclass
class Course:
    """How a training goes on; what is shown and resumed.

    Attributes
    ----------
    step : int
        Steps done.
    seconds : float
        Spent on them.
    steps, train, watch : list
        Of each look its step and the losses, in units of the scale squared.
    best : float
        The lowest of ``watch``.
    ended : str
        Why it has ended; ``""`` while it has not.
    planned : int
        Steps that there is time for, if it does not end before.
    rate : float
        Of learning, in the last step.
    """

    step: int = 0
    seconds: float = 0.0
    steps: list[int] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    watch: list[float] = field(default_factory=list)
    best: float = math.inf
    ended: str = ""
    planned: int = 0
    rate: float = 0.0

    @property
    def looks_since_best(self) -> int:
        """Looks after the best one."""
        if not self.watch:
            return 0
        return len(self.watch) - 1 - int(np.argmin(self.watch))

    @property
    def overfits(self) -> bool:
        """Whether validation gets worse while training gets better."""
        if self.looks_since_best < 3:
            return False
        best = int(np.argmin(self.watch))
        worse = self.watch[-1] - self.watch[best]
        # a loss may be a logarithm, below 0
        return (
            worse > _OVERFIT * abs(self.watch[best])
            and self.train[-1] < self.train[best]
        )


class Learner:
    """Trains a network on a task.

    Parameters
    ----------
    task : Task
        What it learns.
    settings : LearnSettings
        How.
    checkpoint : Path, optional
        Written at each look; gone on with if it is there.

    Attributes
    ----------
    net : nn.Module
        With the weights of now; ``best_net`` gives those of the best look.
    course : Course
        How far it is.
    """

    def __init__(
        self, task: Task, settings: LearnSettings, checkpoint: Path | None = None
    ) -> None:
        torch.manual_seed(settings.seed)
        self.task, self.settings = task, settings
        self.checkpoint: Path | None = None
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        # colours of a pixel side by side in memory: quicker in convolutions
        self.net = self._placed(task.new())
        self._average = self._placed(task.new())
        self._average.load_state_dict(self.net.state_dict())
        self._best = self._state(self._average)
        self._steps = settings.steps
        self._optimizer = torch.optim.Adam(self.net.parameters(), lr=settings.rate)
        self._mixed = self.device.type == "cuda"
        self._grown = torch.amp.GradScaler(self.device.type, enabled=self._mixed)
        self.course = Course()
        if checkpoint is not None:
            self.keep(checkpoint)

    def keep(self, checkpoint: Path) -> None:
        """Write checkpoints there, and go on with the one that is there."""
        self.checkpoint = checkpoint
        if checkpoint.is_file():
            self._resume(checkpoint)

    def begin_with(self, weights: dict[str, torch.Tensor]) -> None:
        """Begin with weights of another training instead of chance ones.

        Raises
        ------
        RuntimeError
            If they are of another network.
        """
        self.net.load_state_dict(weights)
        self._average.load_state_dict(weights)
        self._best = self._state(self._average)

    def best_net(self) -> nn.Module:
        """Return the network of the best look, on the CPU, ready to be run."""
        net = self.task.new()
        net.load_state_dict(self._best)
        return net.eval()

    def learn(
        self,
        told: Callable[[Course], None] | None = None,
        ticked: Callable[[Course], None] | None = None,
    ) -> Course:
        """Train until it is enough; Ctrl-C ends it in order and can be gone on with.

        Parameters
        ----------
        told : Callable, optional
            Called after each look.
        ticked : Callable, optional
            Called before the first step and after each.

        Raises
        ------
        smartscope.errors.BrokenOff
            If the loss is no number any more, or memory is not enough.
        KeyboardInterrupt
            After the checkpoint is written.
        """
        course, settings = self.course, self.settings
        course.ended, course.planned = "", self._steps
        running: list[float] = []
        tick = ticked or (lambda course: None)
        began = time.monotonic() - course.seconds
        try:
            tick(course)
            with Ahead(self._drawn) as batches:
                while not course.ended:
                    step = course.step
                    running.append(self._step(batches.get(step, step + 1)))
                    course.seconds = time.monotonic() - began
                    if course.step == _TIMED:
                        self._fit_into_time()
                    if course.step % settings.every == 0 or course.step >= self._steps:
                        self._look(float(np.mean(running)), batches)
                        running.clear()
                        if told is not None:
                            told(course)
                    tick(course)
        except KeyboardInterrupt:
            self._stop("it was stopped", told)
            raise
        except BrokenOff:
            self._stop("the loss was no number any more", told, keep=False)
            raise
        except (MemoryError, RuntimeError) as e:
            if not _is_of_memory(e):
                raise
            self._stop("memory was not enough", told)
            raise BrokenOff(
                f"Memory is not enough for {settings.batch} patches of "
                f"{settings.patch_px} pixels.",
                rule="A batch must fit into memory.",
                way_out="Set a smaller --batch, --patch or network.",
                state="What was learned is kept.",
            ) from e
        return course

    def _stop(
        self, why: str, told: Callable[[Course], None] | None, *, keep: bool = True
    ) -> None:
        self.course.ended = why
        if keep:
            self._write()
        if told is not None and self.course.watch:
            told(self.course)

    def finish(self) -> Course:
        """End it where it is.

        Raises
        ------
        smartscope.errors.Refused
            If it has not come to a look yet.
        """
        if not self.course.watch:
            raise Refused(
                "The training has not looked at validation yet.",
                rule="The weights of the best look are packed.",
                way_out="Go on with it by --resume.",
            )
        self.course.ended = self.course.ended or "it was stopped"
        return self.course

    def watched(self) -> Iterator[list[torch.Tensor]]:
        """Yield the batches of a look at validation, which are always the same."""
        for number in range(_LOOKS):
            yield self._moved(self._drawn(_look_number(number)))

    def _drawn(self, key: int) -> Batch:
        """Draw a batch anew from the seed and its step, or its number in a look."""
        seed = self.settings.seed
        if key >= 0:  # so that a resumed training goes on the same
            return self.task.batch(np.random.default_rng([seed, key]))
        rng = np.random.default_rng([seed, 0, 1, -1 - key])
        return self.task.batch(rng, watch=True)

    def _step(self, drawn: Batch) -> float:
        course, settings = self.course, self.settings
        batch = self._moved(drawn)
        share = min(1.0, course.step / max(1, self._steps))
        rate = settings.rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        course.rate = rate
        self.net.train()
        with torch.autocast(self.device.type, enabled=self._mixed or settings.bfloat16):
            loss = self.task.loss(self.net, batch)
        value = float(loss.detach())
        if not value < _LARGEST:
            what = (
                f"is {value:.3g}" if math.isfinite(value) else "is no number any more"
            )
            raise BrokenOff(
                f"The loss {what} (step {course.step}).",
                rule="Training goes on while the loss means something: usual ones are "
                "below 10.",
                way_out=("Go on by --resume" if course.watch else "Begin anew")
                + " with a lower --rate; check the images for values that stand out.",
                state=f"The best weights, of step {self._best_step()}, are kept."
                if course.watch
                else "Nothing was learned yet.",
            )
        self._optimizer.zero_grad(set_to_none=True)
        self._grown.scale(loss).backward()
        self._grown.unscale_(self._optimizer)
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self._grown.step(self._optimizer)
        self._grown.update()
        course.step += 1
        keep = min(_AVERAGE, course.step / (course.step + 10))
        with torch.no_grad():
            pairs = zip(self._average.parameters(), self.net.parameters(), strict=True)
            for mean, now in pairs:
                mean.lerp_(now, 1 - keep)
            held = zip(self._average.buffers(), self.net.buffers(), strict=True)
            for ours, theirs in held:
                ours.copy_(theirs)
        return value

    def _moved(self, batch: Batch) -> list[torch.Tensor]:
        parts = [torch.from_numpy(part).to(self.device) for part in batch]
        return [
            p.contiguous(memory_format=torch.channels_last) if p.ndim == 4 else p
            for p in parts
        ]

    def _placed(self, net: nn.Module) -> nn.Module:
        return net.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return,unused-ignore]  # torch's types lack it

    def _look(self, train: float, batches: Ahead) -> None:
        """Look at validation, always at the same patches, and decide what follows."""
        course, settings = self.course, self.settings
        self._average.eval()
        losses = []
        with torch.no_grad():
            for number in range(_LOOKS):
                # the next step's batch, drawn already, is not given up for it
                batch = self._moved(batches.get(_look_number(number)))
                losses.append(float(self.task.loss(self._average, batch)))
        watch = float(np.mean(losses))
        course.steps.append(course.step)
        course.train.append(train)
        course.watch.append(watch)
        if watch < course.best:
            course.best = watch
            self._best = self._state(self._average)
        if course.step >= self._steps:
            course.ended = "all steps are done"
        elif course.seconds >= 60 * settings.minutes:
            course.ended = "the time is over"
        elif course.looks_since_best >= settings.patience:
            course.ended = f"validation has not improved in {settings.patience} looks"
        self._write()

    def _fit_into_time(self) -> None:
        """Plan as many steps as there is time for: the rate shall have come down."""
        per_step = self.course.seconds / self.course.step
        self._steps = min(
            self._steps, max(40, int(60 * self.settings.minutes / per_step))
        )
        self.course.planned = self._steps

    def _best_step(self) -> int:
        course = self.course
        return course.steps[int(np.argmin(course.watch))] if course.watch else 0

    @staticmethod
    def _state(net: nn.Module) -> dict[str, torch.Tensor]:
        return {k: v.detach().cpu().clone() for k, v in net.state_dict().items()}

    def _write(self) -> None:
        if self.checkpoint is None:
            return
        beside = self.checkpoint.with_suffix(".new")
        torch.save(
            {
                "settings": self.settings.model_dump(mode="json"),
                "net": self.net.state_dict(),
                "average": self._average.state_dict(),
                "best": self._best,
                "optimizer": self._optimizer.state_dict(),
                "grown": self._grown.state_dict(),
                "planned": self._steps,
                "course": vars(self.course),
            },
            beside,
        )
        beside.replace(self.checkpoint)

    def _resume(self, path: Path) -> None:
        held = torch.load(path, map_location=self.device, weights_only=True)
        self.net.load_state_dict(held["net"])
        self._average.load_state_dict(held["average"])
        self._best = {k: v.cpu() for k, v in held["best"].items()}
        self._optimizer.load_state_dict(held["optimizer"])
        self._grown.load_state_dict(held["grown"])
        self.course = Course(**held["course"])
        self._steps = held["planned"]
        planned = self.settings.model_dump(include={"steps", "minutes"})
        if planned != {name: held["settings"][name] for name in planned}:
            self._steps = self.settings.steps
            if self.course.step >= _TIMED:
                self._fit_into_time()


def _is_of_memory(error: Exception) -> bool:
    """Whether memory was not enough; of a CPU torch says so in words only."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


def _look_number(number: int) -> int:
    """Return the key of a batch of a look; those of steps are their numbers."""
    return -1 - number
