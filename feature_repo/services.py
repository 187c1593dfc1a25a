"""What is asked for together, by one name."""

from company_views import company_activity, company_profile
from feast import FeatureService
from notice_views import notice_features
from published_views import company_embedding, company_recommendations, notice_embedding, notice_recommendations

# This service IS the model's schema: every field of its views, read as the field's tags say. The order of the views
# and of their fields is the order of the model's columns.
bidrec_v1 = FeatureService(
    name="bidrec_v1",
    features=[notice_features, company_profile, company_activity],
    description="Everything the model reads of a notice and a company",
)

bidrec_embeddings = FeatureService(
    name="bidrec_embeddings",
    features=[notice_embedding, company_embedding],
    description="Published vectors",
)

bidrec_recommendations = FeatureService(
    name="bidrec_recommendations",
    features=[notice_recommendations, company_recommendations],
    description="Published lists",
)
