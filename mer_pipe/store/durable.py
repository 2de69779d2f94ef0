"""Writes that a crash cannot tear: a temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import uuid
from collections.abc import Iterable
from pathlib import Path

from mer_pipe.types import StoreError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def temporary_name(stem: str) -> str:
    """A name that no other writer uses and that tells, when it is left behind, whose it was."""
    return f".{stem}.{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"


def is_abandoned(path: Path) -> bool:
    """Whether a temporary file or folder belongs to a process of this machine that no longer runs."""
    parts = path.name.rsplit(".", 4)
    if len(parts) != 5 or parts[4] != "tmp" or parts[1] != socket.gethostname() or not parts[2].isdigit():
        return False
    try:
        os.kill(int(parts[2]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(path: Path) -> None:
    """Make every file and folder below `path` durable."""
    for folder, _, names in os.walk(path, topdown=False):
        for name in names:
            handle = os.open(os.path.join(folder, name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(folder))


def write_file(path: Path, data: bytes) -> None:
    """Write one file so that it is there whole or not at all.

    Raises
    ------
    StoreError : the disk is full or read-only.
    """
    write_files([(path, data)])


def write_files(files: Iterable[tuple[Path, bytes]]) -> None:
    """Write several files, each whole or not at all; each folder's names are made durable once.

    All are written before the first is synced: the file system then commits them together.
    """
    pending: list[tuple[Path, Path, int]] = []
    try:
        for path, data in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.parent / temporary_name(path.stem[:8])
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            pending.append((temporary, path, handle))
            view = memoryview(data)
            while view:
                view = view[os.write(handle, view) :]
        for _, _, handle in pending:
            os.fsync(handle)
        folders = {path.parent for _, path, _ in pending}
        for temporary, path, _ in pending:
            os.rename(temporary, path)
        for folder in folders:
            sync_folder(folder)
    except OSError as error:
        raise cannot_write(error, pending[-1][1] if pending else None) from error
    finally:
        for temporary, _, handle in pending:
            os.close(handle)
            temporary.unlink(missing_ok=True)


def cannot_write(error: OSError, path: Path | None) -> StoreError:
    """The error of a failed write, with what to do about it."""
    where = f" to {path.parent}" if path else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            f"the disk is full: could not write{where}",
            "free space, or choose another place with --cache or --store, and run the same command: what is finished is kept",
        )
    return StoreError(f"could not write{where}: {error.strerror or error}")


def replace_folder(new: Path, target: Path) -> None:
    """Put the finished folder `new` in the place of `target`, which may exist; a reader never finds half of either.

    Where the system can exchange two names in one step (Linux `renameat2`), `target` is never missing. Elsewhere it is
    missing between two renames; after a crash in between, the next build writes it again from the cache.
    """
    sync_tree(new)
    try:
        os.rename(new, target)  # succeeds only where there is nothing, or an empty folder
        sync_folder(target.parent)
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
    if _exchange(new, target):
        old = new
    else:
        old = target.parent / temporary_name(target.name)
        os.rename(target, old)
        os.rename(new, target)
    sync_folder(target.parent)
    shutil.rmtree(old)


def _exchange(a: Path, b: Path) -> bool:
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return rename(_AT_FDCWD, os.fsencode(a), _AT_FDCWD, os.fsencode(b), _RENAME_EXCHANGE) == 0
