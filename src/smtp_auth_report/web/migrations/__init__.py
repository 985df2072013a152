"""Versions of the state database."""
