"""A log-shipping agent: takes lines over HTTP and from files, keeps them on disk, ships them in batches to a sink."""

VERSION = "1.0.0"
