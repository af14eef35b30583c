"""The limits of a plan, one module each: what it says, how it is encoded, how it is checked."""
