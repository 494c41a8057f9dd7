"""A platform in memory with a fake clock: for simulate and the property tests.

Never a stand-in for an engine in a claim.
"""
