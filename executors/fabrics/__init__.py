"""How the network learns where a VM is, and what becomes of its packets until it has."""
