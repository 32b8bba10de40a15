"""One task mapped over a list."""

import sys

from penstock import flow, task


@task
def work(x: int) -> int:
    return x


@flow
def run(n: int) -> int:
    return sum(work.map(list(range(n))).result())


def main(n: int) -> int:
    return run(n)


if __name__ == "__main__":
    print(main(int(sys.argv[1])))
