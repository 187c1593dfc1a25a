"""How the leak audit looks and refuses: rows in blocks, and the first broken rule with one example."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bidrec.errors import ContractError


def refuse(wrong: npt.NDArray[np.bool_], what: str, example: Any) -> None:
    """Raise ContractError where any is wrong; `example` puts one row into words."""
    bad = np.flatnonzero(wrong)
    if len(bad):
        raise ContractError(
            f"leak audit: {len(bad)} {what} (for example {example(int(bad[0]))})",
            hint="the training set was not kept; this is a defect of the feature tables or of bidrec",
        )


def blocks(rows: int, block_rows: int) -> Iterator[slice]:
    return (slice(begin, min(begin + block_rows, rows)) for begin in range(0, rows, block_rows))
