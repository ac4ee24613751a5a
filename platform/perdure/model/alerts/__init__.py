"""What an alert is, and when one begins and ends: pure decisions."""
