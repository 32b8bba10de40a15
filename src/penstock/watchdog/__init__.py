"""A small process that stands beside a program that executes runs, for what the program itself cannot do: when its
code does not let go of the interpreter's lock, when it is frozen, when it swallows every stop, and when it is killed.

`beside` is the program's side, `table` the memory that both share, `watch` and what it calls the process's side.
"""
