"""Freed memory stays with the process while it trains: a step's tensors come and go by the hundred megabytes.

glibc gives large blocks back to the system at once, which then clears each page anew: a third of a step of the default
model went there.
"""

import ctypes
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # mallopt's numbers
_NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """For the rest of the process; where the C library is not glibc, nothing changes."""
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _NEVER)
