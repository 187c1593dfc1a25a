"""Searching for better settings, on windows before the test window alone."""
