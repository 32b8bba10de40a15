"""A flow that prints, and whose prints become lines of its log."""

import sys

from penstock import flow


@flow(log_prints=True)
def run(n: int) -> int:
    for i in range(n):
        print(f"line {i} of {n}")
    return n


def main(n: int) -> int:
    return run(n)


if __name__ == "__main__":
    print(main(int(sys.argv[1])))
