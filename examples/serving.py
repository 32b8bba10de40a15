"""A flow that is served: it runs by its schedule, and when somebody asks for it, each time in a process of its own.

You will see the run that the program asks for itself: "3 pages about monday", and that it completed. With
`run_once=True` the program ends when that has; without, it goes on until Ctrl-C, and `penstock deployment run
report/nightly` in another terminal has it run.
"""

from penstock import flow, get_client, serve


@flow(log_prints=True)
def report(day: str = "today", pages: int = 1):
    print(f"{pages} pages about {day}")


if __name__ == "__main__":
    nightly = report.to_deployment("nightly", cron="0 3 * * *", parameters={"pages": 3})
    deployment = nightly.apply()
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment.id, parameters={"day": "monday"}, name="by-hand")
        serve(nightly, run_once=True, print_starting_message=False)
        print(run.name, "is", client.read_flow_run(run.id).state_name)
