"""Ways to migrate a VM and to patch a host, behind one narrow protocol."""
