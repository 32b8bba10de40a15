"""The first program of a new user: a cluster on this machine, and one task."""

import ray


@ray.remote
def greet(name: str) -> str:
    return f"Hello, {name}!"


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    print(ray.get(greet.remote("world")))
    ray.shutdown()
