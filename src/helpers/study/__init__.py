"""Open, check or refuse a study folder.

Files become typed tables here, by the contract in data_schema/; nothing downstream sees a file of tables.
"""
