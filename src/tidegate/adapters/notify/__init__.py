"""Notices to the outside."""
