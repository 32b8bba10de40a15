"""What it is: values and pure functions. No clock, no I/O, no settings, and no import from another room."""
