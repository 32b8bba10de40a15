"""How a run runs: one colourless script per kind of run, two drivers, and what they need to start, stop and record it.

Scripts are generators that yield effects (`effects.py`); `blocking.py` and `asynchronous.py` perform them.
"""
