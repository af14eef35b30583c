"""Commands that a server carries out: the same words and documents as where this machine does it."""
