"""A fault run: programs of many kinds, each met by a fault at a random moment. `drive` does it, `checks` looks on."""
