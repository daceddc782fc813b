"""Wells and events → readouts: one module for each assay (cytokines, phenotype, phagocytosis, measurements).

Every assay ends in the one table `readouts`, a row for each donor, visit, condition, time, MSC lot and
readout, and in its sister `cell_controls` for wells without a donor's macrophages. An assay knows its
instrument's tables from readers and the opened study; it knows nothing of tests, figures or reports.
"""
