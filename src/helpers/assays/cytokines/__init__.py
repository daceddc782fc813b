"""Multiplex cytokine plates: standard curves, concentrations with their limits, values a sample.

`curves` is the curve itself (response, inverse, standard error), `curve_fit` finds it, `curve_checks` looks at
the standards it was found from; those three take plain arrays and know nothing of a study.
"""
