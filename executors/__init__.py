"""Carrying a plan out: journal, campaign state, drivers, actors and the report of what happened."""
