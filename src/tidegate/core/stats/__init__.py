"""Sequential statistics in pure numpy: e-processes, dispersion, power.

Never reads a metric source; never decides a rollout.
"""
