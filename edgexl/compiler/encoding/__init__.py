"""Label rows to vectors: by threads or a cluster, remembered on disk."""
