"""What a company is after each moment at which something about it became known.

The record and the bids are two views, because they change at different times. The lists of what it bid on are a third:
they are for people and for models of their own; ours reads the bids themselves, by their place in the log.
"""

from entities import FOREVER, company
from feast import FeatureView
from feast.types import Array, Float32, Int64, String, UnixTimestamp
from reading import age, amount, bag, categorical, count, dense, position, unread
from sources import parquet

profile_source = parquet(
    "company_profile_source",
    "features/company_profile/*.parquet",
    timestamp_field="known_at",
    description="One row per company and version of its record",
)
activity_source = parquet(
    "company_activity_source",
    "features/company_activity/*.parquet",
    timestamp_field="known_at",
    description="One row per company and moment at which bids of it were opened, or an outcome was corrected",
)
history_source = parquet(
    "company_history_source",
    "features/company_history/*.parquet",
    timestamp_field="known_at",
    description="Likewise, with what its newest bids were about",
)
# Feast answers with features, never with their event time; so that is a feature as well.
version_at = unread("version_at", UnixTimestamp, "since when this version is known", "UTC", source="bid.known_at")

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
        dense("log_employees", "people employed", "ln(1 + people)", source="company.employees"),
        age("founded_at", "when it was founded"),
        bag("licences", "licences and business codes it holds"),
        bag("attributes", "other facts, each 'column=value'"),
        unread("name", String, "name of the company"),
        version_at,
    ],
)

company_activity = FeatureView(
    name="company_activity",
    description="What a company has bid on, as far as opened",
    entities=[company],
    ttl=FOREVER,
    source=activity_source,
    schema=[
        count("bids_all", "bids opened so far", "bids", source="bid.known_at"),
        count("bids_30d", "bids opened in the 30 days that end here", "bids", source="bid.known_at"),
        count("bids_90d", "bids opened in the 90 days that end here", "bids", source="bid.known_at"),
        count("bids_365d", "bids opened in the 365 days that end here", "bids", source="bid.known_at"),
        amount("decayed_bids", "bids so far, each halved every 90 days", "bids", source="bid.known_at"),
        count("wins_all", "bids won so far", "bids", source="bid.won"),
        dense("win_share", "won share of the bids with a known outcome", "share", source="bid.won"),
        dense("mean_log_value", "mean value of the notices it bid on", "ln(1 + currency)", source="notice.value"),
        dense("std_log_value", "their standard deviation", "ln(1 + currency)", source="notice.value"),
        count("distinct_buyers", "buyers it has bid to", "buyers", source="notice.buyer_id"),
        count("distinct_places", "places it has bid in", "places", source="notice.place"),
        amount("days_since_first_bid", "time since its first opened bid", "days", source="bid.known_at"),
        amount("mean_gap_days", "mean time between its bids", "days", source="bid.known_at"),
        age("last_bid_at", "when its newest bid was opened", source="bid.known_at"),
        position("history_length", "its bids in the log that are known here: its history", source="bid.known_at"),
        version_at,
    ],
)

company_history = FeatureView(
    name="company_history",
    description="What a company's newest bids were about, with whom it competed and where it won",
    entities=[company],
    ttl=FOREVER,
    source=history_source,
    schema=[
        unread("last_notices", Array(String), "notices of its last 10 bids, newest first", source="bid.notice_id"),
        unread("last_ages", Array(Float32), "time since each of them became known", "days", source="bid.known_at"),
        unread(
            "last_buyers",
            Array(String),
            "buyers of its last 10 bids, newest first; unknown ones left out",
            source="notice.buyer_id",
        ),
        unread(
            "last_places",
            Array(String),
            "places of its last 10 bids, newest first; unknown ones left out",
            source="notice.place",
        ),
        unread("last_categories", Array(String), "categories of its last 10 bids, likewise", source="notice.category"),
        unread(
            "last_value_bands",
            Array(String),
            "half-octaves of the values of its last 10 bids, likewise",
            source="notice.value",
        ),
        unread(
            "last_terms",
            Array(String),
            "words of the titles of its last 4 bids, at most 20, newest first",
            source="notice.title",
        ),
        unread(
            "term_ages",
            Array(Float32),
            "time since the newest bid with each word became known",
            "days",
            source="bid.known_at",
        ),
        unread(
            "rivals",
            Array(String),
            "companies met at least twice in its last 20 bids, in fields of at most 20, the 10 met most often first",
            source="bid.company_id",
        ),
        unread("rival_meetings", Array(Int64), "how often each of them was met", "bids", source="bid.company_id"),
        unread(
            "won_buyers",
            Array(String),
            "buyers of its last 20 wins, the 10 it won at most often first; a win taken back counts minus one",
            source="bid.won",
        ),
        unread("won_buyer_wins", Array(Int64), "how often it won at each of them", "bids", source="bid.won"),
    ],
)
