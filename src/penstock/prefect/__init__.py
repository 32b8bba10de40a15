"""Prefect's code runs unchanged: after `import penstock.prefect`, `import prefect` is Penstock.

Ways to ask for it: `penstock run --prefect script.py`, `python -m penstock.prefect script.py`, this import at the top
of the program, or the environment variable PENSTOCK_PREFECT_ALIAS (2 or 3, for the rules of that version).
"""

from .finder import activate, deactivate, is_active

__all__ = ["activate", "deactivate", "is_active"]

activate()
