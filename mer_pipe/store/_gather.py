"""The compiled copy under mapped reads. Imports numba: import it lazily, on the first mapped read.

The rows of a batch lie in many maps. One call copies them all: Python's share is then a few microseconds a batch, which
counts where a sample is small (24 KiB for MRN's vectors). The interpreter is free meanwhile, so that a thread can read ahead.
"""

from __future__ import annotations

from numba import int64, njit, types, uint8, void

# The C library's own, by name: unlike a ctypes function it leaves the machine code fit to be kept on disk.
_memcpy = types.ExternalFunction("memcpy", types.intp(types.intp, types.intp, types.uintp))


def _gather(addresses, rows, size, out):
    """Copy samples of equal size, one after another.

    Parameters
    ----------
    addresses : (samples,) int64, where in memory each sample begins; the caller answers for `size` bytes at each.
    rows : (n,) int64, which samples; one may come more than once.
    size : bytes of a sample.
    out : (n * size,) uint8, C-contiguous.

    Raises
    ------
    IndexError : a row is not one of the samples, or `out` has another size; nothing has been copied.
    """
    if size < 0 or out.size != rows.size * size:
        raise IndexError("out does not have the size of the rows")
    for row in rows:
        if row < 0 or row >= addresses.size:
            raise IndexError("a row is out of range")
    first = out.ctypes.data
    for i in range(rows.size):
        _memcpy(first + i * size, addresses[rows[i]], size)


_SIGNATURE = void(int64[::1], int64[::1], int64, uint8[::1])
try:
    gather = njit(_SIGNATURE, cache=True, nogil=True)(_gather)
except RuntimeError:  # numba found no writable cache folder; compiling anew gives the same code
    gather = njit(_SIGNATURE, nogil=True)(_gather)
