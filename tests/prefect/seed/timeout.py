# As the document has it, but for the colon that stood behind `@flow(log_prints=True)`; and it is called.
from prefect import task, flow
import time

@task(timeout_seconds=1)
def show_timeouts():
    print("I will run")
    time.sleep(5)
    print("I will not run")

@flow(log_prints=True)
def main():
    show_timeouts()

main()
