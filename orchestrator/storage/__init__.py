"""Where bytes are: a folder, or an S3-compatible object store, behind one Protocol (`protocol.Store`)."""
