"""The command line. `main` is the entry; each noun is a module that is imported only when it is used."""
