"""ttorm."""
