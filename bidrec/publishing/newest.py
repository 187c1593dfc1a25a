"""What was last known of each notice or company as of a moment: the one SQL of it, for all who tell it to people.

Read by closing.py, write_back.py, arrived.py, bidrec/explore and bidrec/reporting
"""


def newest(key: str, *columns: str, files: str) -> str:
    """SQL of `key` and `columns` as the newest row of each key has them, of the rows known at $as_of (TIMESTAMPTZ).

    files: the parameter that names the table's files. The newest row counts whole: what it leaves NULL is not known,
    whatever an older and fuller one said.
    """
    row = ", ".join(f"'{column}': {column}" for column in columns)
    return (
        f"SELECT {key}, unnest(max_by({{{row}}}, known_at)) FROM read_parquet(${files}) WHERE known_at <= $as_of "
        f"GROUP BY {key}"
    )
