"""Tasks submitted one after the other, each waited for."""

import ray

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
end = ray.shutdown


@ray.remote
def work(x: int) -> int:
    return x


def main(n: int) -> int:
    total = 0
    for i in range(n):
        total += ray.get(work.remote(i))
    return total
