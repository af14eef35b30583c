"""What guests are told of their maintenance, and by whom it is known which guest asks."""
