"""A zipped package, unpacked into a temporary folder for as long as it is needed."""

from __future__ import annotations

import shutil
import stat
import tempfile
import weakref
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

from smartscope.errors import Refused

_MARGIN = 1.1  # of the free space, so that unpacking does not fill the disk


class Unpacked:
    """The contents of a zip; they are removed with it, at the latest at exit.

    Parameters
    ----------
    path : Path
        The zip.

    Attributes
    ----------
    folder : Path
        Where the package lies: the temporary folder, or the only folder in it.

    Raises
    ------
    smartscope.errors.Refused
        If it is no zip, is broken, holds a path that leaves its folder, a link or an
        encrypted file, or does not fit on the disk; nothing is left then.
    """

    def __init__(self, path: Path) -> None:
        folder = tempfile.mkdtemp(prefix="smartscope_package_")
        # a finalizer runs at exit too; TemporaryDirectory would warn about that
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        try:
            _unpack(path, Path(folder))
        except BaseException:
            self._remove()
            raise
        inside = [p for p in Path(folder).iterdir() if p.name != "__MACOSX"]
        only = len(inside) == 1 and inside[0].is_dir()
        self.folder = inside[0] if only else Path(folder)

    def close(self) -> None:
        """Remove the files now."""
        self._remove()


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                _check(entry, path)
            need = sum(e.file_size for e in archive.infolist()) * _MARGIN
            free = shutil.disk_usage(folder).free
            if need > free:
                raise Refused(
                    f"Unpacked, {path} has {need / 1e6:.0f} MB, and {free / 1e6:.0f} "
                    f"MB are free at {folder.parent}.",
                    rule="A zipped package is unpacked into a temporary folder.",
                    way_out="Make room there, or unpack it elsewhere and name the "
                    "folder.",
                )
            archive.extractall(folder)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as e:
        raise Refused(
            f"{path} cannot be unpacked: {e}.",
            rule="A package is a folder or a zip of it.",
            way_out="Copy or download it again and compare sizes.",
        ) from e


def _check(entry: zipfile.ZipInfo, path: Path) -> None:
    name = entry.filename
    windows = PureWindowsPath(name)
    leaves = (
        PurePosixPath(name).is_absolute()
        or bool(windows.drive or windows.root)
        or ".." in windows.parts  # parts of both: a backslash parts them on Windows
        or stat.S_ISLNK(entry.external_attr >> 16)
    )
    if leaves:
        raise Refused(
            f"{path} holds '{name}', which leaves the folder it is unpacked into.",
            rule="A package writes nowhere but into its own folder.",
            way_out="Do not trust this file; get the package from its author.",
        )
    if entry.flag_bits & 1:
        raise Refused(
            f"'{name}' in {path} is encrypted.",
            rule="A package can be read without a password.",
            way_out="Unpack it and name the folder.",
        )
