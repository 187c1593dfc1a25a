"""What a notice is at its publication, and what is said of it from then on.

The model reads the first alone. Nothing that comes later is there: opening, bids, winners.
"""

from entities import FOREVER, notice
from feast import FeatureView
from feast.types import Float64, String, UnixTimestamp
from reading import amount, bag, categorical, count, dense, text, unread
from sources import parquet

notice_source = parquet(
    "notice_source",
    "features/notice/*.parquet",
    timestamp_field="published_at",
    description="One row per notice, known from its publication on",
)

status_source = parquet(
    "notice_status_source",
    "features/notice_status/*.parquet",
    timestamp_field="known_at",
    description="One row per notice and moment at which it was published, changed in anything, or withdrawn",
)

notice_features = FeatureView(
    name="notice_features",
    description="A notice as of its publication",
    entities=[notice],
    ttl=FOREVER,
    source=notice_source,
    schema=[
        text("title", "title of the notice"),
        # Who buys, from the top organisation down to the one that needs the work.
        categorical("buyer_id", "buying institution"),
        categorical("parent", "top organisation"),
        categorical("department", "organisation between the top and the unit"),
        categorical("unit", "institution that needs the work"),
        # Where.
        categorical("place", "place of the work, lower case, single blanks"),
        categorical("place_code", "postal or region code of the place"),
        categorical("region", "broad region"),
        # What, and how it is bought.
        categorical("category", "category of the procurement"),
        categorical("subcategory", "finer category"),
        categorical("work_type", "works, goods or services"),
        categorical("method", "procurement method"),
        categorical("contract_form", "form of the contract"),
        categorical("award_method", "how the winner is chosen"),
        categorical("currency", "currency of value, deposit and fee"),
        bag("attributes", "other facts, each 'column=value'"),
        # Who may bid.
        bag("region_limit", "regions whose companies may bid; none: all"),
        bag("licence_limit", "licences of which a bidder must hold one; none: any"),
        # How large.
        dense("log_value", "estimated value", "ln(1 + currency)", source="notice.value"),
        dense("log_deposit", "bid deposit", "ln(1 + currency)", source="notice.deposit"),
        dense("log_fee", "fee for taking part", "ln(1 + currency)", source="notice.fee"),
        dense("log_duration", "length of the contract", "ln(1 + days)", source="notice.duration_days"),
        categorical("value_band", "half-octave of the value", source="notice.value"),
        categorical("deposit_band", "half-octave of the deposit", source="notice.deposit"),
        categorical("fee_band", "half-octave of the fee", source="notice.fee"),
        categorical("duration_band", "half-octave of the length", source="notice.duration_days"),
        # When.
        amount("lead_days", "time from publication to closing", "days", source="notice.published_at, notice.closes_at"),
        categorical("lead_band", "half-octave of the lead time", source="notice.published_at, notice.closes_at"),
        unread("month", String, "month of the publication, in English", "UTC", source="notice.published_at"),
        unread("weekday", String, "weekday of the publication, in English", "UTC", source="notice.published_at"),
        count("reissue", "how often it was announced before", "notices"),
        # What two facts say together.
        categorical("parent_place", "parent and place", source="notice.parent, notice.place"),
        categorical("place_unit", "place and unit", source="notice.place, notice.unit"),
        categorical("place_category", "place and category", source="notice.place, notice.category"),
        categorical("place_code_unit", "place code and unit", source="notice.place_code, notice.unit"),
        categorical("place_code_category", "place code and category", source="notice.place_code, notice.category"),
        categorical("unit_category", "unit and category", source="notice.unit, notice.category"),
        categorical("unit_contract_form", "unit and form of the contract", source="notice.unit, notice.contract_form"),
        categorical("unit_method", "unit and method", source="notice.unit, notice.method"),
        categorical("unit_value_band", "unit and value band", source="notice.unit, notice.value"),
        categorical("category_value_band", "category and value band", source="notice.category, notice.value"),
        # For people and for serving.
        unread("closes_at", UnixTimestamp, "last moment to bid", "UTC"),
        unread("value", Float64, "estimated value", "currency"),
        unread("buyer_name", String, "name of the buying institution"),
        unread("place_name", String, "place of the work, as the notice names it", source="notice.place"),
        unread("unit_name", String, "name of the institution that needs the work"),
    ],
)

notice_status = FeatureView(
    name="notice_status",
    description="A notice's dates as last stated: prolonged, opened, withdrawn",
    entities=[notice],
    ttl=FOREVER,
    source=status_source,
    schema=[
        unread("closes_at", UnixTimestamp, "last moment to bid", "UTC"),
        unread("opened_at", UnixTimestamp, "when its bids become public", "UTC"),
        unread("withdrawn_at", UnixTimestamp, "from when on nobody can bid; none: it is not withdrawn", "UTC"),
    ],
)
