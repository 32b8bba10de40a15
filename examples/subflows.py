"""A flow called in a flow is a subflow: a run of its own, below its parent.

You will see "Created subflow run" twice, and the parent's value. `penstock flow-run graph ID` of the parent shows the
subflows with their tasks.
"""

from penstock import flow, tags, task


@task
def count(table):
    return len(table)


@flow(flow_run_name="load-{table}")
def load(table: str) -> int:
    return count(table)


@flow(log_prints=True)
def nightly() -> int:
    with tags("nightly"):  # for all runs that begin in this block
        rows = load("customers") + load("orders")
    print(f"loaded {rows} rows")
    return rows


if __name__ == "__main__":
    nightly()
