"""The project all definitions belong to, under the name that feature_store.yaml gives it."""

from feast import Project
from store import store

project = Project(name=store()["project"], description="Public tenders and the companies that will bid on them")
