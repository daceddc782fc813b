"""Words of the report room."""

from __future__ import annotations

SIMULATED = "SIMULATED: no person and no measurement on this page is real."
NOTICE = "What kind of study this is"
RESEARCH = "For research, not for care."
FAILED = "This page is not complete."
INDEX = "Overview"
PROBLEMS = "Problems"
PROVENANCE = "Provenance"
METHODS = "Methods"
METHODS_LEAD = "How the effects were estimated, from the plan and the tables, as a paragraph for a manuscript."
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
LICENCE = "The software is under GPL-3.0-or-later. The licence of the data is that of the study; ask its owners."
STUDY, FINGERPRINT = "Study", "Data fingerprint"
CHANGED = "What co-culture with MSC changed"
CHANGED_NOTE = "Estimate with its interval, of the primary readouts only. The pages below have every other readout."
UNCERTAIN = "What is uncertain"
FAILURES = "What failed"
PAGES = "Pages"
FILES = "Files"
EFFECTS = "Effects of co-culture"
FIGURES = "Figures"
FILTER, FILTERED = "Show rows with", "rows of"
DONORS_ANALYSED = "donors analysed"
ASSAYS_MEASURED = "assays and measurements"
RESULTS_THERE = "of planned results are there"
PROVENANCE_FACTS = (
    "Study",
    "Data digest",
    "Project version",
    "Source digest",
    "Git commit",
    "Uncommitted changes",
    "Seed of resampling",
    "Python",
    "Platform",
)
PARAMETER = "Parameter"
YES, NO, NOT_KNOWN = "yes", "no", "not known"
INPUTS, INPUT_FILES, FILE = "Inputs", "Input files.", "File"
ALIASES = "Names that hold a date or an identity are replaced by an alias."
PACKAGES, PACKAGE, VERSION = "Packages", "Package", "Version"
AS_WORD = "Table 1, effects, figures and methods as a Word document"
AS_WORKBOOK = "All tables in one workbook"
AS_PACKAGE = "columns, units, codes and keys of these tables, as a Frictionless Data Package"
AS_RECORD = "inputs with digests, versions, parameters, times"
AS_CRATE = "the same, and a digest of every file of this report, as an RO-Crate"
LANGUAGE = "en"
SKIP, ON_THIS_PAGE = "Skip to content", "On this page"
SHOW_CODE, CELL_STOPPED = "Show code", "This cell stopped:"
AS_PNG, AS_DATA = "PNG, 300 dpi", "Data, CSV"
