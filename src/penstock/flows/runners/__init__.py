"""Where submitted tasks run: a contract, and threads, processes, or one after the other."""
