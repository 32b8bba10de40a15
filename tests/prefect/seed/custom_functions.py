from prefect import task, flow

def business_logic():
    print("custom non-Prefect code")

@task
def my_task():
    print("world 🌍")
    business_logic()

@flow(log_prints=True)
def my_flow():
    print("hello 👋")
    my_task()

if __name__ == "__main__":
    my_flow()
