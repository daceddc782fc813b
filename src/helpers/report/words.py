"""Words of the report room."""

from __future__ import annotations

SIMULATED = "SIMULATED: no person and no measurement on this page is real."
RESEARCH = "For research, not for care."
FAILED = "This page is not complete."
INDEX = "Overview"
PROBLEMS = "Problems"
PROVENANCE = "Provenance"
PROBLEMS_LEAD = "Everything that was wrong, odd or repaired in the study's files, with its place and what to do."
PROVENANCE_LEAD = "Which files, which versions and which settings made this report."
