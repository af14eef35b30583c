"""What is measured of a campaign that runs: its metrics, and how they are read off its state."""
