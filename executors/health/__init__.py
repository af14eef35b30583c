"""Whether a campaign does harm: signals from outside, and budgets of its own; either pauses it."""
