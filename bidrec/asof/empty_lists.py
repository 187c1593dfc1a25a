"""Lists of numbers without a number, where PostgreSQL searches vectors: Feast would give pgvector each list for one.

Serves  offline_store.py, which all that is materialized passes through

With `vector_enabled` Feast writes every list of numbers a second time, as a vector that can be searched. pgvector has
none without numbers, so one company without an open notice, whose `scores` are empty, would end the job.
"""

from typing import Any

from feast.infra.key_encoding_utils import get_list_val_str
from feast.repo_config import RepoConfig


def keep_out_of_the_search(config: RepoConfig) -> None:
    """From here on Feast's PostgreSQL store writes an empty list as the feature alone, which reads as it is."""
    if config.online_store.type == "postgres":
        from feast.infra.online_stores.postgres_online_store import postgres

        postgres.get_list_val_str = _vector


def _vector(value: Any) -> str | None:
    """What pgvector reads, of a list that has numbers."""
    text: str | None = get_list_val_str(value)
    return None if text == "[]" else text
