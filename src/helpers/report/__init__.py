"""An opened study → executed notebooks, a web site, tables, a workbook and the record of how they came about."""
