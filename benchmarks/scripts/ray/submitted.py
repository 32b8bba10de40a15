"""Tasks submitted, then waited for."""

import ray

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
end = ray.shutdown


@ray.remote
def work(x: int) -> int:
    return x


def main(n: int) -> int:
    futures = [work.remote(i) for i in range(n)]
    return sum(ray.get(future) for future in futures)
