"""The log of served features, read back through the offline store: across changes of the service, and where it is bad."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pyarrow as pa
import pytest
from feast.data_format import ParquetFormat
from feast.feature_logging import LOG_TIMESTAMP_FIELD
from feast.infra.offline_stores.file_source import FileSource

from bidrec.asof.served import log_served, served_between
from bidrec.errors import InputMissing
from tests.asof.worlds import store

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
