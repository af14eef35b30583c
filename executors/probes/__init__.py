"""Looking at guests from outside: what a blackout is to those who use them."""
