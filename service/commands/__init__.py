"""The commands, one module for each object that they are about."""
