"""Copies of a store, and of the directory beside it, that are of one moment; restored only where nothing is."""
