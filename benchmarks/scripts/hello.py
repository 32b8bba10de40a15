"""The first program of a new user."""

from penstock import flow, task


@task
def greet(name: str) -> str:
    return f"Hello, {name}!"


@flow(log_prints=True)
def hello(name: str = "world") -> None:
    print(greet(name))


if __name__ == "__main__":
    hello()
