"""Benchmarks: ``python benchmarks/run.py`` runs all of them; the others time one part each."""
