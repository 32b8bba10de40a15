"""How an engine reaches the record: it reports facts without waiting, and asks questions when it must know."""
