"""A flow that prints lines of some 90 characters, each of which is searched for 100 secrets before it is stored."""

import random
import string
import sys

from penstock import flow, logging

CHANCE = random.Random(100)
SIGNS = string.ascii_letters + string.digits + "-_/+=!@"
SECRETS = ["".join(CHANCE.choices(SIGNS, k=CHANCE.randint(6, 60))) for _ in range(100)]


@flow(log_prints=True)
def run(n: int) -> int:
    for i in range(n):
        print(f"line {i} of {n}: read 12345 rows from the table customers in 0.123 seconds, and went on")
    return n


def main(n: int) -> int:
    mask = getattr(logging, "mask_secret", None)  # not everybody masks
    for secret in SECRETS if mask else ():
        mask(secret)
    return run(n)


if __name__ == "__main__":
    print(main(int(sys.argv[1])))
