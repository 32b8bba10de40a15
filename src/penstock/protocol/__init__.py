"""What a server can be asked, as data: operations, the errors they may answer, and the journal's batches.

Law: this is the wire, and there is no second description of it. Routes, the OpenAPI page, the clients and the remote
ledger are made from it. Nothing here knows a network, a store, or who asks.
"""
