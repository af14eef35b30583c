"""What live hypervisors say of themselves and their guests, as a fleet snapshot."""
