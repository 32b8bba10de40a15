"""One task mapped over a generator, whose items are handed over in chunks and whose values are dropped as they come."""

import sys

from penstock import flow, task


@task
def work(x: int) -> int:
    return x


@flow
def run(n: int) -> int:
    items = (x for x in range(n))
    if hasattr(work, "stream"):
        return sum(future.result() for future in work.stream(items, chunk_size=100))
    return sum(future.result() for future in work.map(list(items)))  # Prefect has lists only


def main(n: int) -> int:
    return run(n)


if __name__ == "__main__":
    print(main(int(sys.argv[1])))
