"""Code that cannot be stopped in its own process is stopped in another: `isolation="process"`.

The task is one call into C code, which lets no other thread run and looks at no signal. Isolated, it is TimedOut after
half a second, its worker process is killed, and the next call has a worker that works.
"""

from penstock import flow, task


@task(isolation="process", timeout_seconds=0.5)
def largest(count):
    return max(range(count))


@flow(log_prints=True)
def isolated():
    state = largest(10**10, return_state=True)
    print(f"ten billion: {state.name}")
    print(f"ten: {largest(10)}")


if __name__ == "__main__":
    isolated()
