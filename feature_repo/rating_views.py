# my_features/rating_views.py
from entities import FOREVER, company
from feast import FeatureView
from feast.types import Float64
from reading import unread
from sources import parquet

rating_source = parquet(
    "company_rating_source",
    "ratings/*.parquet",
    timestamp_field="known_at",
    description="One row per company and day on which a rating of it became known",
)
company_rating = FeatureView(
    name="company_rating",
    description="What somebody thinks of a company",
    entities=[company],
    ttl=FOREVER,
    source=rating_source,
    schema=[unread("rating", Float64, "rating", "points")],
)
