"""The point-in-time join: which version of a company was known at a moment."""
