"""Tasks called one after the other."""

import sys

from penstock import flow, task


@task
def work(x: int) -> int:
    return x


@flow
def run(n: int) -> int:
    total = 0
    for i in range(n):
        total += work(i)
    return total


def main(n: int) -> int:
    return run(n)


if __name__ == "__main__":
    print(main(int(sys.argv[1])))
