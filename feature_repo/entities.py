"""What features are about."""

from datetime import timedelta

from feast import Entity, ValueType

# What is known of a notice or a company holds until something newer is known. Not zero, which is Feast's "forever": of
# a view without a time to live the first `feast materialize-incremental` takes the last year only, and says so in
# passing.
FOREVER = timedelta(days=36500)

notice = Entity(
    name="notice",
    join_keys=["notice_id"],
    value_type=ValueType.STRING,
    description="A tender as it was published; a re-notice is a notice of its own",
)
company = Entity(
    name="company",
    join_keys=["company_id"],
    value_type=ValueType.STRING,
    description="A company that has a record or has bid",
)
