"""Readouts → effects: contrasts, intervals, families of tests, refusals as rows.

This room knows donors, groups, conditions and readouts, and nothing of plates or cells. It reads
`readouts`, `cell_controls`, `donors_derived` and the plan, and writes `effects` and its companions. The
donor is the unit: wells, events and beads never reach a test.
"""
