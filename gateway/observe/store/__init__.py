"""The trace store: records in SQLite, so that the console and the command line work with nothing else installed.

``thread`` writes off the calls' way, ``writing`` is its SQL, ``file`` opens and checks, ``reader`` answers questions.
"""
