"""How the record is reached over HTTP: one route an operation, live streams, metrics, the pages that describe them.

Law: nothing is decided here. What can be asked is `protocol`'s table, what is answered comes from a `Desk`, who asks
says the `Gate`. Nothing that a client sends is believed: it has a size, a depth and a type, or it is refused with a 4xx
and a sentence. No question to the store is asked in the event loop's thread.
"""
