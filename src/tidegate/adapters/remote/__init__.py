"""The ports over another Tidegate's HTTP API: what the command line stands on when TIDEGATE_URL is set.

One small class a port, each method one request; values travel in the model's plain form. Nothing is decided here, and
the lease is never ours: the server decides.
"""
