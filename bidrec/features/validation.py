"""`feast validate`: whether features that were served are like those of the training window. docs/feast.md shows it.

Reads   the rows of the training window, an answer of get_online_features, the registry
Writes  nothing itself: Feast keeps the expectations in the registry, and the rows in its log

Great Expectations (requirements/validate.txt) is no part of the pinned stack, and nothing else of bidrec needs it.
"""

from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING
from uuid import uuid4

import click
import pyarrow as pa

from bidrec.errors import ConfigurationError, DependencyDown, InputMissing

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore
    from feast.dqm.profilers.ge_profiler import GEProfiler
    from feast.online_response import OnlineResponse
    from feast.protos.feast.core.Registry_pb2 import Registry
    from great_expectations.core import ExpectationSuite
    from great_expectations.dataset import PandasDataset

SLACK = 0.05
"""By how much the share of missing values, and that of values outside the training window's range, may be larger."""
_SHOWN = "see `feast validate` in docs/feast.md"


def profiler() -> "GEProfiler":
    """What a validation reference is made with: expectations of each feature, learned from the training window's rows.

    Raises DependencyDown (69) without Great Expectations.
    """
    _require_great_expectations()
    from feast.dqm.profilers.ge_profiler import GEProfiler

    return GEProfiler(_profile)


def _profile(rows: "PandasDataset") -> "ExpectationSuite":
    # The registry keeps the code of this function and nothing around it: it finds the rest by this import.
    from bidrec.features.validation import expectations

    return expectations(rows)


def expectations(rows: "PandasDataset") -> "ExpectationSuite":
    """Of each column `view__feature`: how often it is known; of numbers also the range. Both but for SLACK.

    Times have no range, since they go on. Raises InputMissing (66) where there are no rows to learn from.
    """
    from pandas.api.types import is_numeric_dtype

    if rows.empty:
        raise InputMissing("the training window has no rows: nothing can be expected", hint=_SHOWN)
    for column in [name for name in rows.columns if "__" in name]:
        known = rows[column].dropna()
        share = len(known) / len(rows)
        if share > SLACK:
            rows.expect_column_values_to_not_be_null(column, mostly=share - SLACK)
        if share and is_numeric_dtype(known):
            rows.expect_column_values_to_be_between(column, float(known.min()), float(known.max()), mostly=1 - SLACK)
    return rows.get_expectation_suite(discard_failed_expectations=False)


def served(store: "FeatureStore", service: "FeatureService", answer: "OnlineResponse") -> pa.Table:
    """An answer as store.write_logged_features takes it: a row for each key that was asked for, at the time of now.

    answer: of get_online_features(service, keys, full_feature_names=True), else ConfigurationError (64).
    """
    from feast.feature_logging import LOG_DATE_FIELD, LOG_TIMESTAMP_FIELD, REQUEST_ID_FIELD, FeatureServiceLoggingSource

    values = answer.to_dict()
    columns = dict(values)
    for name, vector in zip(answer.proto.metadata.feature_names.val, answer.proto.results, strict=True):
        columns[f"{name}__timestamp"] = [time.ToDatetime() for time in vector.event_timestamps]
        columns[f"{name}__status"] = list(vector.statuses)
    now, rows = datetime.now(UTC), len(next(iter(values.values())))
    columns |= {LOG_TIMESTAMP_FIELD: [now] * rows, LOG_DATE_FIELD: [now.date()] * rows}
    columns[REQUEST_ID_FIELD] = [uuid4().hex] * rows
    schema = FeatureServiceLoggingSource(service, store.project).get_schema(store.registry)
    missing = [name for name in schema.names if name not in columns]
    if missing:
        raise ConfigurationError(
            f"the answer has no column {missing[0]}", hint=f"ask for {service.name} with full_feature_names=True"
        )
    return pa.Table.from_pydict(columns, schema=schema)


def refuse_what_cannot_be_validated(registry: "Registry") -> None:
    """Within the command `feast validate`: one line for what Feast would end in a traceback. Elsewhere nothing.

    Raises click.UsageError (2) without a service or a reference, DependencyDown (69) without Great Expectations,
    InputMissing (66) where the registry has no such service or reference, ConfigurationError (64) where the service is
    not logged.
    """
    command = click.get_current_context(silent=True)
    if command is None or command.info_name != "validate":
        return
    service, reference = command.params.get("feature_service"), command.params.get("reference")
    if not service or not reference:
        raise click.UsageError("give a --feature-service and a --reference", command)
    _require_great_expectations()
    services = {each.spec.name: each.spec for each in registry.feature_services}
    references = sorted(each.name for each in registry.validation_references)
    if service not in services:
        raise InputMissing(
            f"no feature service {service!r}", hint=f"there are: {', '.join(sorted(services)) or 'none'}"
        )
    if not services[service].HasField("logging_config"):
        raise ConfigurationError(
            f"what {service} serves is not logged", hint="give it a logging_config, and run feast apply"
        )
    if reference not in references:
        raise InputMissing(
            f"no validation reference {reference!r}", hint=f"there are: {', '.join(references) or 'none'}; {_SHOWN}"
        )


def _require_great_expectations() -> None:
    if find_spec("great_expectations") is None:
        raise DependencyDown(
            "feast validate needs Great Expectations, which is not installed",
            hint="pip install -r requirements/validate.txt",
        )
