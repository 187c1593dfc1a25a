"""The commands: one file each, thin. `jobs/cli.py` is the console script `bidrec`.

Here, before torch is imported, is how their processes use memory.
"""

import gc
import os

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
"""torch asks for pages of 2 MB for what is that large: a row of a table of millions is found without a walk through the
page table. A training step over such tables takes a sixth less; see benchmarks/README.md."""

gc.set_threshold(100_000)
"""Objects between two looks for garbage, where Python has 700: importing torch makes hundreds of thousands that stay,
and each is looked at again and again, a seventh of the time."""
