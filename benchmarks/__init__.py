"""What Penstock costs, measured: `python -m benchmarks`, and `--help` for more.

A measurement is a fresh process with a fresh home, its terminal lines sent to nowhere. The clock stops when
everything is recorded, and then the record itself is counted: a number cannot be bought by losing facts.

`workloads.py` says what is measured and the budgets, `products.py` with what: Penstock embedded and served, and peers,
each with its own interpreter. `scripts/` holds the workloads as programs one can read and run, `timed.py` is what runs
them on the clock, `measure.py` starts it and checks the record, `page.py` and `budgets.py` write the tables,
`clusters.py`, `parts.py` and `calibration.py` measure what is no workload. Slowness never fails; a wrong record does.
"""
