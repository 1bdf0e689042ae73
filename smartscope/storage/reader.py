"""A run read back from its folder, finished or broken off.

It says what was recorded and what is missing; what it means is for report and replay.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smartscope.acquisition import Frame
from smartscope.errors import Refused
from smartscope.storage.journal import JournalContent, read_journal
from smartscope.storage.restored import TAKEN, restored_headers
from smartscope.storage.run_folder import RunFolder
from smartscope.storage.zarr_files import ARRAY

if TYPE_CHECKING:
    import tensorstore as ts

Record = dict[str, Any]
BROKEN_OFF = "broken off (no end in the journal)"


class Run:
    """A recorded run.

    Parameters
    ----------
    folder : RunFolder
        Where it lies.
    journal : JournalContent
        Its journal, as far as it could be read.

    Attributes
    ----------
    path : Path
        The folder.
    record : dict
        run.json; ``{}`` if there is none.
    frames : list of dict
        Headers of the stored frames with ``image`` and ``index``, by frame_id.
    unstored : list of dict
        Headers, in the same way, of frames that are not stored by policy: they were
        taken, and charged, and nothing has asked for their pixels.
    taken : list of dict
        Both together, by frame_id.
    kept : list of dict
        For each hit that made the survey's frames data, their ids.
    restored_frames : list of dict
        The same of the frames whose restored images are stored.
    analysed, inputs : list of dict
        By ``seq``, the order in which the analysis was given things.
    decisions, outcomes, occurrences, skipped, notes : list of dict
        As written.
    """

    def __init__(self, folder: RunFolder, journal: JournalContent) -> None:
        self.folder = folder
        self.path = folder.path
        self.record: Record = folder.read_run_json()
        self.torn_lines = journal.torn
        kinds: dict[str, list[Record]] = {}
        for line in journal.records:
            kind = "occurrence" if "occurrence_id" in line else line.get("kind", "")
            kinds.setdefault(str(kind), []).append(line)
        self.frames = sorted(kinds.pop("frame", []), key=_frame_id)
        self.kept = kinds.pop("kept", [])
        self.unstored = self._by_policy(kinds.pop("unstored", []))
        self.taken = sorted((*self.frames, *self.unstored), key=_frame_id)
        self.analysed = sorted(kinds.pop("analysed", []), key=_seq)
        self.inputs = sorted(kinds.pop("input", []), key=_seq)
        self.occurrences = [
            self._occurrence(line) for line in kinds.pop("occurrence", [])
        ]
        self.decisions = kinds.pop("decision", [])
        self.outcomes = kinds.pop("outcome", [])
        self.skipped = kinds.pop("skipped", [])
        self.notes = kinds.pop("note", [])
        self._telemetry = (kinds.pop("telemetry", None) or [{}])[-1]
        self._end = (kinds.pop("end", None) or [{}])[-1]
        self.others = kinds
        self._headers = {f["frame_id"]: f for f in self.frames}
        self.restored_frames = sorted(restored_headers(folder), key=_frame_id)
        self._restored = {f["frame_id"]: f for f in self.restored_frames}
        self._arrays: dict[Path, ts.TensorStore] = {}

    def _by_policy(self, lines: list[Record]) -> list[Record]:
        """Return those of whose frames no pixels were wanted."""
        wanted = {int(f["frame_id"]) for f in self.frames}
        # asked for by a hit, and not stored: lost, like any other
        wanted.update(int(i) for line in self.kept for i in line["frame_ids"])
        return sorted(
            (line for line in lines if line["frame_id"] not in wanted), key=_frame_id
        )

    def _occurrence(self, line: Record) -> Record:
        """Return an occurrence in its own words: its 'kind' is not that of the line."""
        occurrence = {k: v for k, v in line.items() if k != "kind"}
        how = occurrence.pop("how", line["kind"])
        if how == "occurrence":
            analysis = self.experiment.get("analysis") or {}
            named = (analysis.get("occurrences") or {}).get(occurrence.get("name"))
            how = (named or {}).get("kind", how)
        occurrence["kind"] = how
        return occurrence

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Open the folder of a run, finished or broken off at any moment.

        Raises
        ------
        smartscope.errors.Refused
            If the folder is none of a run.
        """
        folder = RunFolder(Path(path).resolve())
        if not folder.journal.is_file() and not folder.run_json.is_file():
            raise Refused(
                f"{path} is no run: "
                + (
                    "it holds neither run.json nor journal.jsonl."
                    if folder.path.is_dir()
                    else "there is no such folder."
                ),
                rule="A run is the folder that 'smartscope run' has written.",
                way_out="Name the folder, such as runs/2026-11-20T14-03-05_division.",
            )
        try:
            journal = read_journal(folder.journal)
        except FileNotFoundError:
            journal = JournalContent([])
        except OSError as e:
            raise _unreadable(path, e) from e
        try:
            return cls(folder, journal)
        except OSError as e:
            raise _unreadable(path, e) from e
        except (KeyError, TypeError) as e:
            raise Refused(
                f"The journal of {path} is no journal of a run: a line lacks {e}.",
                rule="Each line is as smartscope has written it.",
                way_out="Bring journal.jsonl back from a copy of the run.",
                state="",
            ) from e

    # ------------------------------------------------------------- how it ended

    @property
    def finished(self) -> bool:
        """True if the journal has an end, whatever the outcome."""
        return bool(self._end)

    @property
    def outcome(self) -> str:
        """completed, degraded, stopped, broken_off, or that there is no end."""
        return str(self._end.get("outcome", "")) if self._end else BROKEN_OFF

    @property
    def exit_code(self) -> int:
        """Exit code of the run; 4 if it was broken off without an end."""
        return int(self._end.get("exit_code", 4)) if self._end else 4

    @property
    def reason(self) -> str:
        """Why it ended so, in words."""
        return str(self._end.get("reason") or "")

    @property
    def experiment(self) -> Record:
        """The experiment as resolved."""
        return dict(self.record.get("experiment") or {})

    @property
    def name(self) -> str:
        """Name of the experiment."""
        name = self.record.get("name") or self.experiment.get("name")
        return str(name or self.path.name)

    @property
    def telemetry(self) -> Record:
        """``counts`` and ``latencies`` written at the close; ``{}`` if broken off."""
        return {k: v for k, v in self._telemetry.items() if k != "kind"}

    @cached_property
    def truth(self) -> Record:
        """What truly happened, where the specimen knew it; else ``{}``."""
        return self.folder.read_truth()

    @cached_property
    def missing(self) -> list[str]:
        """What is known to have been there and is not stored, in words."""
        said = []
        if self.torn_lines:
            lines = _listed(self.torn_lines)
            said.append(f"the journal's line {lines} was cut off and is left out")
        if not self.record:
            said.append("run.json is not there or broken")
        by_policy = {int(f["frame_id"]) for f in self.unstored}
        if gone := sorted(self._mentioned() - self._headers.keys() - by_policy):
            said.append(
                f"{len(gone)} frames were taken and not stored (frame {_listed(gone)})"
            )
        if gone := sorted(self.restored_told(TAKEN) - self._restored.keys()):
            said.append(
                f"{len(gone)} restored images were made and not stored "
                f"(frame {_listed(gone)})"
            )
        if not self.finished:
            said.append("the journal has no end: the run was broken off")
        return said

    @property
    def frames_known(self) -> int:
        """How many frames were acquired at least: ids have no gaps."""
        return len(self._mentioned())

    def restored_told(self, how: str) -> set[int]:
        """Return frames by what became of their restored image.

        ``taken`` is given to the disk; what is on it stands in ``restored_frames``.
        The others are ``dropped`` and ``failed``.
        """
        return {
            int(a["frame_id"])
            for a in self.analysed
            if str(a.get("restored", "")).partition(":")[0] == how
        }

    def _mentioned(self) -> set[int]:
        """Return the frame ids up to the last one that any line names."""
        named = {int(a["frame_id"]) for a in (*self.analysed, *self.skipped)}
        named |= {int(d["frame_id"]) for d in self.decisions}
        named |= {int(i) for o in self.occurrences for i in o.get("frame_ids", ())}
        taken = (int(f["frame_id"]) for f in self.taken[-1:])
        last = max((*named, *taken), default=-1)
        return set(range(last + 1))

    # ------------------------------------------------------------- pixels

    def header(self, frame_id: int) -> Record:
        """Return the header of a stored frame with its ``image`` and ``index``.

        Raises
        ------
        smartscope.errors.Refused
            If no such frame is stored.
        """
        if frame_id not in self._headers:
            by_policy = any(f["frame_id"] == frame_id for f in self.unstored)
            raise Refused(
                f"Frame {frame_id} is not stored in {self.path}"
                + (", by policy (storage.survey)." if by_policy else "."),
                rule=f"{len(self.frames)} frames are.",
                way_out="'frames' lists them.",
                state="",
            )
        return self._headers[frame_id]

    def read(self, frame_id: int) -> npt.NDArray[Any]:
        """Read the pixels of a frame, shape ``(Y, X)``.

        Raises
        ------
        smartscope.errors.Refused
            If the frame is not stored or its pixels cannot be read.
        """
        return self._plane(self.header(frame_id), self.folder.raw)

    def restored(self, frame_id: int) -> npt.NDArray[Any]:
        """Read a frame as the denoising model restored it, shape ``(Y, X)``, float32.

        Raises
        ------
        smartscope.errors.Refused
            If its restored image is not stored or cannot be read.
        """
        if frame_id not in self._restored:
            raise Refused(
                f"No restored image of frame {frame_id} is stored in {self.path}.",
                rule="Restored images are kept where 'analysis: denoise: store' is "
                f"true; {len(self.restored_frames)} are.",
                way_out="'restored_frames' lists them.",
                state="",
            )
        return self._plane(self._restored[frame_id], self.folder.restored)

    def _plane(self, header: Record, collection: Path) -> npt.NDArray[Any]:
        t, c, z = header["index"]
        try:
            array = self._array(collection / header["image"] / ARRAY)
            return np.asarray(array[t, c, z].read().result())
        # tensorstore maps its status codes to many classes
        except Exception as e:
            raise Refused(
                f"The pixels of frame {header['frame_id']} in {self.path} cannot be "
                f"read: {str(e).splitlines()[0]:.200}.",
                rule="Each stored frame is a chunk of its image.",
                way_out=f"Look for {header['image']} in {collection}.",
                state="",
            ) from e

    def frame(self, frame_id: int) -> Frame:
        """Rebuild a frame as it was handed over.

        Raises
        ------
        smartscope.errors.Refused
            If it is not stored, or not what its header says.
        """
        pixels = self.read(frame_id)
        try:
            return Frame.from_header(self.header(frame_id), pixels)
        except ValueError as e:
            raise Refused(
                f"{self.path} is damaged: {e}.",
                rule="A frame that the journal calls stored can be read.",
                way_out="Bring raw.ome.zarr back from a copy of the run.",
                state="",
            ) from e

    def _array(self, path: Path) -> ts.TensorStore:
        import tensorstore as ts

        if path not in self._arrays:
            self._arrays[path] = ts.open(
                {
                    "driver": "zarr3",
                    "kvstore": {"driver": "file", "path": str(path)},
                    # a chunk that is not there must not look like a black frame
                    "fill_missing_data_reads": False,
                },
                read=True,
            ).result()
        return self._arrays[path]


def _unreadable(path: str | Path, why: OSError) -> Refused:
    return Refused(
        f"The journal of {path} cannot be read: {why}.",
        rule="A run is read from its journal.",
        way_out="Check the disk and the permissions.",
        state="",
    )


def _frame_id(record: Record) -> int:
    return int(record["frame_id"])


def _seq(record: Record) -> int:
    return int(record["seq"])


def _listed(numbers: Iterable[int]) -> str:
    some = list(numbers)
    return ", ".join(map(str, some[:5])) + (" …" if len(some) > 5 else "")
