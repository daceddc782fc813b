"""What every other room stands on: problems, privacy, schemas, numbers, files, cache, shared words.

Nothing here knows a study, an instrument or a statistic.
"""
