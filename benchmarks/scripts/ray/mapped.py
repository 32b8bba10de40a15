"""Tasks for a list, waited for together."""

import ray

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
end = ray.shutdown


@ray.remote
def work(x: int) -> int:
    return x


def main(n: int) -> int:
    return sum(ray.get([work.remote(i) for i in range(n)]))
