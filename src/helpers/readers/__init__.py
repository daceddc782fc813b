"""One module for each file format → tidy table; no study knowledge."""
