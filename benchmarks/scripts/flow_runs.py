"""Flows without tasks, called one after the other."""

import sys

from penstock import flow


@flow
def run(x: int) -> int:
    return x


def main(n: int) -> int:
    total = 0
    for i in range(n):
        total += run(i)
    return total


if __name__ == "__main__":
    print(main(int(sys.argv[1])))
