"""How it is remembered: a contract of transactions (`contract.py`), databases that keep it (`sqlite.py`), SQL by noun.

SQL is plain, in the subset that SQLite and PostgreSQL share. A noun's file holds all SQL of that noun. Whether a change
may happen is not asked here (`services/`).
"""
