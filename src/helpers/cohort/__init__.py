"""Donors and laboratory values → eligibility, derived values, participant flow, completeness.

Every registry criterion is a rule with three answers; every ambiguous reading is computed side by side.
"""
