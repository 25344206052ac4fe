"""Active records: Twins and what hangs on them, their declared fields, and their state."""
