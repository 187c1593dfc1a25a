"""The project all definitions belong to; its name is also in feature_store.yaml."""

from feast import Project

project = Project(name="bidrec", description="Public tenders and the companies that will bid on them")
