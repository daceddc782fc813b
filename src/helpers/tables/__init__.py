"""Output tables → what people read: HTML in notebooks and pages, an Excel workbook.

Every number that is shown passes helpers.core.numbers; the tables themselves stay full-precision CSV.
"""
