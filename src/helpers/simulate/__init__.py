"""The demo study: a simulated cohort with planted truths, written as the files a study folder holds.

Everything here is invented. Distributions follow published cohorts, effects are assumptions, and each planted
truth stands in docs/demo.md so that tests can check that the analysis finds it.
"""

from helpers.simulate.writing import write_demo

__all__ = ["write_demo"]
