"""The first program of a new user: a cluster on this machine, and one task."""

from distributed import Client, LocalCluster


def greet(name: str) -> str:
    return f"Hello, {name}!"


if __name__ == "__main__":
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        print(client.submit(greet, "world").result())
