"""Tasks and flows may be generators: items are handed on one by one while the run goes on.

You will see pages printed between their being fetched, and a consumer that stops early: a good end for the run.
"""

from penstock import flow, task


@task
def pages(count):
    try:
        for number in range(1, count + 1):
            print(f"fetching page {number}")
            yield number
    finally:
        print("closing the connection")


@flow(log_prints=True)
def reading():
    for page in pages(1_000_000):
        print(f"reading page {page}")
        if page == 2:
            break
    print(f"submitted, the items come as a list: {pages.submit(2).result()}")


if __name__ == "__main__":
    reading()
