"""Tasks submitted to the default task runner (threads), then waited for."""

import sys

from penstock import flow, task


@task
def work(x: int) -> int:
    return x


@flow
def run(n: int) -> int:
    futures = [work.submit(i) for i in range(n)]
    return sum(future.result() for future in futures)


def main(n: int) -> int:
    return run(n)


if __name__ == "__main__":
    print(main(int(sys.argv[1])))
