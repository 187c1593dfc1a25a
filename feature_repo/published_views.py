"""What a run has published: vectors, and the lists made of them.

`published/current` points at the newest publication. The event time is the time of writing: whatever is written later
is newer, also where it is about an older notice. What an earlier publication has and the newest has not lies beside it
(`*.withdrawn.parquet`) as rows without values, so that materializing takes it away from readers.
"""

from entities import FOREVER, company, notice
from feast import Entity, FeatureView, Field
from feast.types import Array, Float32, String, UnixTimestamp
from reading import unread
from sources import parquet


def published(name: str, entity: Entity, description: str, *fields: Field) -> FeatureView:
    source = parquet(
        f"{name}_source",
        f"published/current/{name}*.parquet",
        timestamp_field="written_at",
        description=description,
    )
    run = unread("run_id", String, "run whose weights made it")
    return FeatureView(
        name=name, description=description, entities=[entity], ttl=FOREVER, source=source, schema=[*fields, run]
    )


embedding = unread(
    "embedding", Array(Float32), "vector of unit length; the cosine of a pair's two says how well they fit"
)
# For online stores that search vectors; the others take no notice of it.
embedding.vector_index, embedding.vector_search_metric = True, "cosine"
scores = unread("scores", Array(Float32), "probability that the company bids, in the same order", "probability")

notice_embedding = published("notice_embedding", notice, "Vectors of the notices", embedding)
company_embedding = published("company_embedding", company, "Vectors of the companies", embedding)
notice_recommendations = published(
    "notice_recommendations",
    notice,
    "Companies that will most likely bid on a notice",
    unread("closes_at", UnixTimestamp, "when the notice closes: the list holds until then", "UTC"),
    unread("company_ids", Array(String), "companies, best first"),
    scores,
)
company_recommendations = published(
    "company_recommendations",
    company,
    "Open notices that a company will most likely bid on",
    unread("closes_at", Array(UnixTimestamp), "when each of them closes, in the same order", "UTC"),
    unread("notice_ids", Array(String), "open notices, best first"),
    scores,
)
