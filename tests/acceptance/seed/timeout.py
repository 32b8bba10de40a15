# Two repairs to the text: the colon that stood behind `@flow(log_prints=True)` is gone, and the flow is called.
from penstock import task, flow
import time

@task(timeout_seconds=1)
def show_timeouts():
    print("I will run")
    time.sleep(5)
    print("I will not run")

@flow(log_prints=True)
def main():
    show_timeouts()

if __name__ == "__main__":
    main()
