"""Claiming runs, launching them, watching them, and ending them: what `penstock worker start` and `flow.serve()` do.

Law: a worker decides nothing about runs. It does what the record gives it to do, and tells what it sees; what that
means for a run, the record decides. Nothing is lost with it: another worker finds all that it launched.
"""
