"""A flow that calls another flow, one time after the other."""

import sys

from penstock import flow


@flow
def part(x: int) -> int:
    return x


@flow
def run(n: int) -> int:
    total = 0
    for i in range(n):
        total += part(i)
    return total


def main(n: int) -> int:
    return run(n)


if __name__ == "__main__":
    print(main(int(sys.argv[1])))
