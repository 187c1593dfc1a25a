"""What features are about."""

from feast import Entity, ValueType

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
