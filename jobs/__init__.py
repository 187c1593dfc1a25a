"""The commands: one file each, thin. `jobs/cli.py` is the console script `bidrec`."""
