"""What a notice is at its publication. Nothing that comes later is here: opening, bids, winners."""

from entities import FOREVER, notice
from feast import FeatureView, FileSource
from feast.types import Float64, String, UnixTimestamp
from home import file
from reading import amount, bag, categorical, count, dense, text, unread

notice_source = FileSource(
    name="notice_source",
    path=file("features/notice.parquet"),
    timestamp_field="published_at",
    description="One row per notice, known from its publication on",
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
        categorical("place", "place of the work, lower case"),
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
        dense("log_value", "estimated value", "ln(1 + currency)"),
        dense("log_deposit", "bid deposit", "ln(1 + currency)"),
        dense("log_fee", "fee for taking part", "ln(1 + currency)"),
        dense("log_duration", "length of the contract", "ln(1 + days)"),
        categorical("value_band", "half-octave of the value"),
        categorical("deposit_band", "half-octave of the deposit"),
        categorical("fee_band", "half-octave of the fee"),
        categorical("duration_band", "half-octave of the length"),
        # When.
        amount("lead_days", "time from publication to closing", "days"),
        categorical("lead_band", "half-octave of the lead time"),
        unread("month", String, "month of the publication", "UTC"),
        unread("weekday", String, "weekday of the publication", "UTC"),
        count("reissue", "how often it was announced before", "notices"),
        # What two facts say together.
        categorical("parent_place", "parent and place"),
        categorical("place_unit", "place and unit"),
        categorical("place_category", "place and category"),
        categorical("place_code_unit", "place code and unit"),
        categorical("place_code_category", "place code and category"),
        categorical("unit_category", "unit and category"),
        categorical("unit_contract_form", "unit and form of the contract"),
        categorical("unit_method", "unit and method"),
        categorical("unit_value_band", "unit and value band"),
        categorical("category_value_band", "category and value band"),
        # For people and for serving.
        unread("closes_at", UnixTimestamp, "last moment to bid", "UTC"),
        unread("value", Float64, "estimated value", "currency"),
        unread("buyer_name", String, "name of the buying institution"),
        unread("unit_name", String, "name of the institution that needs the work"),
    ],
)
