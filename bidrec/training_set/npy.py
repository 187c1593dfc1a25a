"""Growing .npy files: blocks are appended as they are made, so that no array has to fit in memory to be written.

Writes  any array of runs/ID/training_set
"""

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt


class Growing:
    """One .npy file of a fixed dtype and row width. A context manager: on leaving it, the header states the rows."""

    def __init__(self, path: Path, dtype: npt.DTypeLike, width: int | None = None) -> None:
        """width: columns of a (rows, width) array, None for a (rows,) array."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.dtype = np.dtype(dtype)
        self.width = width
        self.rows = 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, block: npt.NDArray[np.generic]) -> None:
        shape = (len(block),) if self.width is None else (len(block), self.width)
        self._file.write(np.ascontiguousarray(block, dtype=self.dtype).reshape(shape).data)
        self.rows += len(block)

    def _write_header(self) -> None:
        # numpy leaves room in the header for the first axis to grow, so a later header has the same length.
        shape = (self.rows,) if self.width is None else (self.rows, self.width)
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        )

    def __enter__(self) -> "Growing":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._write_header()
        self._file.close()


def read(path: Path) -> npt.NDArray[Any]:
    """Map a .npy file into memory, read-only; never a pickle."""
    return np.load(path, mmap_mode="r", allow_pickle=False)
