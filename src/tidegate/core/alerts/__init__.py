"""Alerts: what fires, since when and why, and what that does to a rollout. Pure.

Belongs here: the shipped rules, windows over what was measured, the states of alerts, and which of them speak against
a release. Never belongs here: a metric source, a clock, a second loop. Alerts are facts of the one decision.
"""
