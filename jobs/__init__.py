"""The commands: one file each, thin. `jobs/cli.py` is the console script `bidrec`."""

import gc

gc.set_threshold(100_000)
"""Objects between two looks for garbage, where Python has 700: torch and Feast make hundreds of thousands that stay,
and to look at each again and again is an eighth of the time that importing them takes."""
