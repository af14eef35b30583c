"""What begins a campaign: requests in files, windows of a calendar, alerts of hosts about to fail."""
