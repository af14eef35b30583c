"""Fleet snapshots from public traces of real clouds."""
