"""What a file that is damaged looks like in each library that reads one: they find it out in the middle of their work.

Knows the libraries by the names of their errors alone and imports none of them.
"""

_READERS = {
    "duckdb": ("Error", "InvalidInputException", "IOException", "SerializationException", "ConversionException"),
    "pyarrow": ("ArrowInvalid", "ArrowSerializationError", "ArrowTypeError"),
    "safetensors_rust": ("SafetensorError",),
    "zlib": ("error",),
    "sqlite3": ("DatabaseError",),
}
"""Library -> its errors over what it reads. What is wrong in our own SQL is a BinderException or the like; the bare
Error is what DuckDB's reader of Parquet meets below it."""


def is_damage(error: BaseException) -> bool:
    """Whether the error says that a file does not hold what such a file must."""
    library = type(error).__module__.split(".")[0].lstrip("_")
    return type(error).__name__ in _READERS.get(library, ())
