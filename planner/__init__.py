"""From a fleet snapshot and a policy to a complete, audited plan. Pure: no effects, no clock, no Ray."""
