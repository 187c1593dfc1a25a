"""The Feast repository, definitions only. Feast puts this folder on its path and imports the modules by bare names."""
