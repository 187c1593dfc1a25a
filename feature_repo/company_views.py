"""What a company is after each moment at which something about it became known.

Two views, because they change at different times: the record, and what it bid on. Both are read as of a moment.
"""

from entities import FOREVER, company
from feast import FeatureView, FileSource
from feast.types import Array, String
from home import file
from reading import age, amount, bag, categorical, count, dense, position, unread

profile_source = FileSource(
    name="company_profile_source",
    path=file("features/company_profile.parquet"),
    timestamp_field="known_at",
    description="One row per company and version of its record",
)
activity_source = FileSource(
    name="company_activity_source",
    path=file("features/company_activity.parquet"),
    timestamp_field="known_at",
    description="One row per company and moment at which bids of it were opened",
)

company_profile = FeatureView(
    name="company_profile",
    description="A company's static record",
    entities=[company],
    ttl=FOREVER,  # a company that last bid in spring is still one
    source=profile_source,
    schema=[
        categorical("region", "region of its seat"),
        categorical("region_code", "code of that region"),
        categorical("kind", "manufacturer, supplier, ..."),
        categorical("country", "country of its seat"),
        categorical("head_office", "head office or branch"),
        dense("log_employees", "people employed", "ln(1 + people)"),
        age("founded_at", "when it was founded"),
        bag("licences", "licences and business codes it holds"),
        bag("attributes", "other facts, each 'column=value'"),
        unread("name", String, "name of the company"),
    ],
)

company_activity = FeatureView(
    name="company_activity",
    description="What a company has bid on, as far as opened",
    entities=[company],
    ttl=FOREVER,
    source=activity_source,
    schema=[
        count("bids_all", "bids opened so far", "bids"),
        count("bids_30d", "bids opened in the 30 days that end here", "bids"),
        count("bids_90d", "bids opened in the 90 days that end here", "bids"),
        count("bids_365d", "bids opened in the 365 days that end here", "bids"),
        amount("decayed_bids", "bids so far, each halved every 90 days", "bids"),
        count("wins_all", "bids won so far", "bids"),
        dense("win_share", "won share of the bids with a known outcome", "share"),
        dense("mean_log_value", "mean value of the notices it bid on", "ln(1 + currency)"),
        dense("std_log_value", "their standard deviation", "ln(1 + currency)"),
        count("distinct_buyers", "buyers it has bid to", "buyers"),
        count("distinct_places", "places it has bid in", "places"),
        amount("days_since_first_bid", "time since its first opened bid", "days"),
        amount("mean_gap_days", "mean time between its bids", "days"),
        age("last_bid_at", "when its newest bid was opened"),
        position("log_begin", "first row of its history"),
        position("log_end", "row after the last one of its history known here"),
        unread("last_notices", Array(String), "notices of its last 20 bids, newest first"),
        unread("last_buyers", Array(String), "buyers of its last 20 bids, newest first"),
        unread("last_places", Array(String), "places of its last 20 bids, newest first"),
        unread("last_categories", Array(String), "categories of its last 20 bids, newest first"),
    ],
)
