"""The log of served features, read back through the offline store: across changes of the service, and damaged."""

from datetime import UTC, datetime, timedelta

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
