"""Measurements against a named baseline of the same run. Not part of the package."""
