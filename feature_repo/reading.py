"""Fields, each with how the model reads it: the tags are the model's schema.

read     what the model makes of it
  dense        a number, normalised; missing ones become the mean, and a flag says so
  categorical  one value of a vocabulary learned before the cutoff
  bag          a list of such values
  text         words and character n-grams, hashed
  age          a time, as days until the as-of
  vector       a list of numbers of fixed length
  position     how many of the company's bids in the bid log are known: its history
  ignore       not read: for people and other users of the store
unit     of the number; UTC for times
scale    log1p: ln(1 + x) is taken first (counts)
meaning  one line for people
source   the columns of the canonical tables it is made from, as table.column; not given: the column of its own name in
         the view's table (notice or company), which is carried through
"""

from feast import Field
from feast.types import Array, FeastType, Float32, Float64, Int64, String, UnixTimestamp


def dense(name: str, meaning: str, unit: str, source: str = "") -> Field:
    return _field(name, Float64, "dense", meaning, unit=unit, source=source)


def count(name: str, meaning: str, unit: str, source: str = "") -> Field:
    return _field(name, Int64, "dense", meaning, unit=unit, scale="log1p", source=source)


def amount(name: str, meaning: str, unit: str, source: str = "") -> Field:
    """A number that is not a whole one, yet spread like a count."""
    return _field(name, Float64, "dense", meaning, unit=unit, scale="log1p", source=source)


def categorical(name: str, meaning: str, source: str = "") -> Field:
    return _field(name, String, "categorical", meaning, source=source)


def bag(name: str, meaning: str, source: str = "") -> Field:
    return _field(name, Array(String), "bag", meaning, source=source)


def text(name: str, meaning: str, source: str = "") -> Field:
    return _field(name, String, "text", meaning, source=source)


def vector(name: str, meaning: str, source: str = "") -> Field:
    """A list of numbers made elsewhere, as long in every row that has one: an embedding of the title, say."""
    return _field(name, Array(Float32), "vector", meaning, source=source)


def age(name: str, meaning: str, source: str = "") -> Field:
    return _field(name, UnixTimestamp, "age", meaning, unit="UTC", source=source)


def position(name: str, meaning: str, source: str = "") -> Field:
    return _field(name, Int64, "position", meaning, unit="bids", source=source)


def unread(name: str, dtype: FeastType, meaning: str, unit: str = "", source: str = "") -> Field:
    return _field(name, dtype, "ignore", meaning, unit=unit, source=source)


def _field(name: str, dtype: FeastType, read: str, meaning: str, **tags: str) -> Field:
    given = {key: value for key, value in tags.items() if value}
    return Field(name=name, dtype=dtype, description=meaning, tags={"read": read, "meaning": meaning, **given})
