"""The private cache: one file a cell, named by its key, written once, checked whenever it is read.

An entry is an uncompressed ``.npz`` (a zip of ``.npy`` files) that also holds ``document.json``, what the key stands for;
``numpy.load`` and ``unzip`` read it. The zip's comment, its last bytes, is the CRC-32 of all bytes before it: a zip's own
checksums leave its directory unprotected. Deleting any of it loses time, never results.
"""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from mer_pipe.store.durable import write_files
from mer_pipe.types import StoreError

DOCUMENT = "document.json"
_MARK = len(b"crc32:00000000")


class DamagedEntry(StoreError):
    """A cache entry whose bytes are not those that were written; it has been set aside and can be made again."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"cache entry {key[:12]} is damaged ({why})", "it is made again by the next build")
        self.key = key
        self.why = why

    def __reduce__(self) -> tuple:
        return DamagedEntry, (self.key, self.why)


class Cache:
    """A folder of entries, safe for any number of readers and writers at once.

    Parameters
    ----------
    root : folder; made when something is first written.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._entries = os.path.join(self.root, "entries")

    def path(self, key: str) -> Path:
        return Path(self._entry(key))

    def has(self, key: str) -> bool:
        return os.path.exists(self._entry(key))

    def keys(self) -> Iterator[str]:
        """All keys, in no particular order."""
        for folder in _folders(self._entries):
            with os.scandir(folder) as names:
                for entry in names:
                    if entry.name.endswith(".npz") and not entry.name.startswith("."):
                        yield entry.name[:-4]

    def get(self, key: str) -> dict[str, np.ndarray]:
        """The arrays of an entry.

        Raises
        ------
        KeyError : there is no such entry.
        DamagedEntry : its bytes don't match their checksums; it has been moved to ``damaged/``.
        StoreError : the file system does not let it be read.
        """
        try:
            with open(self._entry(key), "rb") as file:
                data = file.read()
            if data[-_MARK:] != _mark(data[:-_MARK]):
                raise ValueError("checksum differs")
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return {n[:-4]: _read_array(archive, n) for n in archive.namelist() if n != DOCUMENT}
        except FileNotFoundError:
            raise KeyError(key) from None
        except OSError as error:
            raise StoreError(
                f"cannot read cache entry {key[:12]}: {error.strerror}", "check the --cache folder"
            ) from error
        except MemoryError:
            raise
        except Exception as error:
            self._set_aside(key)
            raise DamagedEntry(key, " ".join(str(error).split()) or type(error).__name__) from error

    def document(self, key: str) -> str | None:
        """The text behind a key, or None when the entry is not there or not readable."""
        try:
            with zipfile.ZipFile(self._entry(key)) as archive:
                return archive.read(DOCUMENT).decode()
        except (OSError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
            return None

    def put(self, entries: Iterable[tuple[str, str, Mapping[str, np.ndarray]]]) -> None:
        """Commit entries, each (key, document, arrays); each is there whole or not at all.

        Raises
        ------
        StoreError : the disk is full or read-only.
        """
        write_files((self.path(key), _entry_bytes(document, arrays)) for key, document, arrays in entries)

    def discard(self, key: str) -> int:
        """Remove an entry; the number of bytes that it took."""
        path = self.path(key)
        try:
            size = path.stat().st_size
            path.unlink()
        except FileNotFoundError:
            return 0
        return size

    def _entry(self, key: str) -> str:
        return f"{self._entries}/{key[:2]}/{key}.npz"

    def _set_aside(self, key: str) -> None:
        aside = self.root / "damaged" / f"{key}.npz"
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(self._entry(key), aside)
        except FileNotFoundError:
            pass  # another reader was first


def _folders(root: str) -> Iterator[str]:
    try:
        with os.scandir(root) as names:
            yield from (entry.path for entry in names if entry.is_dir())
    except FileNotFoundError:
        return


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    buffer = io.BytesIO(archive.read(name))
    version = np.lib.format.read_magic(buffer)
    if version != (1, 0):
        raise ValueError(f"array format {version}")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(buffer)
    if fortran or dtype.hasobject:
        raise ValueError(f"array of {dtype}")
    return np.frombuffer(buffer.getbuffer()[buffer.tell() :], dtype).reshape(shape)


def _entry_bytes(document: str, arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, DOCUMENT, document.encode())
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)
            _add(archive, f"{name}.npy", member.getbuffer())
        archive.comment = bytes(_MARK)  # its length is part of what the checksum covers
    body = buffer.getvalue()[:-_MARK]
    return body + _mark(body)


def _mark(body: bytes) -> bytes:
    return b"crc32:%08x" % zlib.crc32(body)


def _add(archive: zipfile.ZipFile, name: str, data: bytes | memoryview) -> None:
    # A fixed date: the same arrays give the same bytes whenever they are written.
    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), bytes(data))
