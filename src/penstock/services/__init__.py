"""What may happen: use-cases on the store, one transaction each: gather the facts, decide by the rules, apply."""
