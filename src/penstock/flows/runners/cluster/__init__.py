"""Tasks on a cluster that exists (Dask, Ray): the flow's process keeps what belongs to runs, the cluster has the code.

What runs on a node is `host`: it has the task's function called in a worker process of ours beside it, the same as for
`ProcessPoolTaskRunner`, and relays what that says to the flow's process, which it dials (`home`). So a stop is
delivered, code that does not stop is killed, and lines arrive, as they do on one machine; and nothing of the cluster's
own processes is killed for it.
"""
