"""Jobs: planning and what is asked about plans, carried out apart from the calls that ask for it."""
