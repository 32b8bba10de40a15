"""What a run wants people to see: a table, a text, and how far it is. And an event.

Look at it afterwards: `penstock artifact ls`, `penstock artifact inspect sales`, `penstock event ls`.
"""

from penstock import flow
from penstock.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from penstock.events import emit_event


@flow(log_prints=True)
def sales():
    progress = create_progress_artifact(0, description="loading")
    for done in range(4):
        update_progress_artifact(progress, (done + 1) * 25)
    create_table_artifact([{"customer": "ACME", "orders": 7}], key="customers")
    create_markdown_artifact("# Sales\n\n1,200 rows loaded.", key="sales", description="of the day")
    emit_event("sales.loaded", {"penstock.resource.id": "shop.sales"}, payload={"rows": 1200})
    print("see `penstock artifact ls`")


if __name__ == "__main__":
    sales()
