"""The loop: device-resident batches, steps, checkpoints, resume. Knows no Feast and no DuckDB."""
