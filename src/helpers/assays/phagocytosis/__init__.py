"""Phagocytosis: from events, cells, counts and series to uptake per well, with its controls."""
