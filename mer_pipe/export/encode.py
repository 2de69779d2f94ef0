"""Bytes of files that depend on their contents alone: no time, no user, no version of a compressor."""

from __future__ import annotations

import csv
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def png(image: np.ndarray) -> bytes:
    """A (y, x, 3) uint8 image as PNG: red, green, blue. Not compressed: pictures of 28 x 28 px hold 2 kB either way."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"a picture is uint8 (y, x, 3), not {image.dtype} {image.shape}")
    height, width = image.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, -1)], axis=1)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            (b"IDAT", _stored(rows.tobytes())),
            (b"IEND", b""),
        )
    )


def _stored(data: bytes) -> bytes:
    """A zlib stream (RFC 1950) of stored blocks: compressors differ from version to version, this does not."""
    parts = [data[i : i + 0xFFFF] for i in range(0, len(data), 0xFFFF)]
    blocks = (struct.pack("<BHH", part is parts[-1], len(part), len(part) ^ 0xFFFF) + part for part in parts)
    return b"\x78\x01" + b"".join(blocks) + struct.pack(">I", zlib.adler32(data))


def npy(array: np.ndarray) -> bytes:
    """An array as a .npy file."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays by name as a .npz file that `numpy.load` reads, not compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), npy(array))
    return buffer.getvalue()


def table(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows of the same columns as CSV in UTF-8, with a header."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def document(value: Any, indent: int | None = None) -> bytes:
    """A plain value as JSON in UTF-8."""
    return (json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False) + "\n").encode()
