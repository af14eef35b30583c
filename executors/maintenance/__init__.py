"""The maintenance action: what is done to a host while it is out, and how it is known to have worked."""
