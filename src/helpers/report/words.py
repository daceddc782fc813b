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
DONOR = "Donor"
DONORS = "Donors"
DONORS_LEAD = "One page a donor, on two sheets of paper: who, what was measured beside what the controls showed, and what is doubtful."
DONOR_COLUMNS = (
    "Donor",
    "Group",
    "Eligible, all of 3.1 to 3.4",
    "Eligible, any of 3.2 to 3.4",
    "Results missing",
    "Page",
)
CURRENT = "made from these data"
STALE = "older than the data; apap report makes it anew"
ABSENT = "not made yet"
OTHER_DATA = (
    "Pages of single donors were made later, from newer data: this page and all others but the donors' are older. "
    "To bring them up to date: apap report."
)
