"""Arguments as the C functions want them: ctypes itself would cut a path at a NUL and a number at its width."""

from __future__ import annotations

import enum
import math
import os
from typing import Optional, Union

StrPath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class Unset(enum.Enum):
    """For an argument that was left out, where None says something."""

    UNSET = "as the constructor was told"


UNSET = Unset.UNSET

# Beyond this many milliseconds (290 years) a wait is one for ever.
_LONGEST = 2**63 // 10**6


def path_bytes(path: StrPath) -> bytes:
    """As os.fsencode; ValueError for a NUL in it."""
    encoded = os.fsencode(path)
    if b"\0" in encoded:
        raise ValueError("embedded null byte in the path")
    return encoded


def unsigned(value: int, bits: int, name: str) -> int:
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{name} must be at least 0 and below 2**{bits}: {value}")
    return value


def seconds_to_ms(seconds: Optional[float], name: str) -> int:
    """Rounded up; None is for ever, -1."""
    if seconds is None:
        return -1
    if not seconds >= 0:  # also NaN
        raise ValueError(f"{name} must be at least 0, or None for ever: {seconds}")
    if seconds * 1000 >= _LONGEST:
        return -1
    return math.ceil(seconds * 1000)


def patience_to_ms(seconds: Optional[float]) -> int:
    """Of a save, for which the library takes 0 for its default: at least a millisecond."""
    ms = seconds_to_ms(seconds, "timeout")
    return max(1, ms) if ms >= 0 else ms
