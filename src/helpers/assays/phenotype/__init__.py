"""Phenotype by flow cytometry: FCS files → gated populations, marker statistics against the right control, audits.

Macrophages shine by themselves, foamy ones more: every number here stands on a control of its own donor and
condition where there is one, and says which one it was where there is not.
"""
