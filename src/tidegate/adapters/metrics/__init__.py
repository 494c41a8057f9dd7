"""Metric sources (ports.MetricSource), one module a kind. Nothing is imported before a rollout asks."""
