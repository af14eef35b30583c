"""Fleet snapshots: tables in and out, their validation, importers and generators."""
