"""A secret is stored encrypted, loaded by name, and masked in everything that a run writes.

You will see "signing in with ********": the flow prints its password, and the log does not have it. What is no secret
and changes more often than code, is a variable.
"""

from pydantic import SecretStr

from penstock import flow, task
from penstock.blocks.core import Block
from penstock.blocks.system import Secret
from penstock.variables import Variable


class Database(Block):
    """Where the orders are."""

    host: str
    password: SecretStr


@task
def sign_in():
    database = Database.load("orders")
    print(f"{database.host}: signing in with {database.password.get_secret_value()}")


@flow(log_prints=True)
def load():
    sign_in()
    print(f"the key has {len(Secret.load('api-key').get())} characters")
    print(f"{Variable.get('batch_size', default=100)} rows at a time")


if __name__ == "__main__":
    # Once, and not in a program: `penstock block create secret api-key`, `penstock variable set batch_size 500`.
    Secret(value="k-83hf-20xk").save("api-key", overwrite=True)
    Database(host="db.example.org", password="correct horse").save("orders", overwrite=True)
    Variable.set("batch_size", 500, overwrite=True)
    load()
