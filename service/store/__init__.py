"""What the server keeps of its own, beside the campaigns in their store."""
