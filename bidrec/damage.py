"""What a file that is damaged looks like in each library that reads one: they find it out in the middle of their work.

Knows the libraries by the names of their errors alone and imports none of them.
"""

_READERS = {
    "duckdb": ("InvalidInputException", "IOException", "SerializationException", "ConversionException"),
    "pyarrow": ("ArrowInvalid", "ArrowSerializationError", "ArrowTypeError"),
    "safetensors_rust": ("SafetensorError",),
    "zlib": ("error",),
    "sqlite3": ("DatabaseError",),
}
"""Library -> its errors over what it reads. What is wrong in our own SQL is a BinderException or the like."""
_THRIFT = ("TProtocolException", "Invalid Parquet", "No magic bytes")
"""Texts of DuckDB's Parquet reader in errors of the general kind."""


def is_damage(error: BaseException) -> bool:
    """Whether the error says that a file does not hold what such a file must."""
    kind, text = type(error), str(error)
    library = kind.__module__.split(".")[0].lstrip("_")
    return kind.__name__ in _READERS.get(library, ()) or (library == "duckdb" and any(one in text for one in _THRIFT))
