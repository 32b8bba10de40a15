"""Processes that know secrets: workers and their flow, a program that is retried, a watchdog that knows none."""

from __future__ import annotations

from pathlib import Path

from penstock.domain.masking import MASK

from .kit import Programs, Record, everything, until

WORKERS = """
    import os
    from pydantic import SecretStr
    from penstock import flow, task
    from penstock.logging import mask_secret
    from penstock.task_runners import ProcessPoolTaskRunner

    @task(isolation="process")
    def isolated(x):
        print("isolated has", x)
        mine = SecretStr("made-in-the-worker").get_secret_value()
        print("and", mine)
        return mine

    @task(isolation="process")
    def fails():
        raise ValueError(SecretStr("raised-in-the-worker").get_secret_value())

    @task(isolation="process")
    def later(x):
        print("later", x, "made-in-the-worker")

    @task
    def pooled(x):
        print("pooled", x)
        return x

    @flow(log_prints=True, task_runner=ProcessPoolTaskRunner(max_workers=1))
    def body(x):
        pooled.submit("before").wait()
        mask_secret("learned-late")
        assert pooled.submit("learned-late").result() == "learned-late"
        assert isolated(x) == "made-in-the-worker"
        print("back", "made-in-the-worker")
        fails(return_state=True)
        later(x)

    mask_secret("known-at-first")
    body("known-at-first")
"""
OF_WORKERS = ("known-at-first", "learned-late", "made-in-the-worker", "raised-in-the-worker")


def test_workers_and_their_flow_tell_each_other_their_secrets(
    programs: Programs, record: Record, penstock_home: Path
) -> None:
    done = programs.run(WORKERS)
    assert done.code == 0, done.stderr
    messages = record.messages()
    for expected in (f"isolated has {MASK}", f"and {MASK}", f"pooled {MASK}", f"back {MASK}", f"later {MASK} {MASK}"):
        assert expected in messages
    data = everything(penstock_home)
    for secret in OF_WORKERS:
        assert secret.encode() not in data
        assert secret not in done.stderr


RETRIED = """
    import os, sys
    from pathlib import Path
    from pydantic import BaseModel, SecretStr
    from penstock import flow, task
    from penstock.logging import mask_secret

    class Login(BaseModel):
        password: SecretStr

    @task
    def connect(login):
        print("connects")
        return "session of " + login.password.get_secret_value()

    @task(persist_result=True)
    def large(session):
        return session * 10_000

    @flow(log_prints=True)
    def body(login: Login, token: str):
        session = connect(login)
        print("in", session, len(large(session)), token)
        if Path(os.environ["BROKEN"]).exists():
            raise ValueError(session)

    if __name__ == "__main__":
        mask_secret("token-of-main")
        body({"password": "pass-word-77"}, "token-of-main")
"""


def test_a_run_goes_on_with_what_was_encrypted_in_another_process(
    programs: Programs, record: Record, penstock_home: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    path = programs.write(RETRIED)
    done = programs.run(path, "--token=token-of-main", BROKEN=str(broken))
    assert done.code == 1, done.stderr
    run = record.flow_run()
    assert run.state_name == "Failed"
    assert run.entrypoint is not None
    assert run.entrypoint.argv[1] == f"--token={MASK}"

    broken.unlink()
    cli = tmp_path / "retry.py"
    cli.write_text(
        f"import sys; from penstock.cli.main import main; sys.argv[1:] = ['flow-run', 'retry', '{run.id}']; main()"
    )
    done = programs.run(cli, BROKEN=str(broken))
    assert done.code == 0, done.stderr
    again = record.flow_run()
    assert again.state_name == "Completed"
    messages = record.messages(again)
    assert messages.count("connects") == 1
    assert messages.count(f"in session of {MASK} 230000 {MASK}") == 2
    data = everything(penstock_home)
    for secret in ("pass-word-77", "token-of-main"):
        assert secret.encode() not in data


FROZEN = """
    import os, signal
    from penstock import task
    from penstock.logging import mask_secret

    @task(task_run_name="{name}", timeout_seconds=0.5, tags=["known-to-me-alone"])
    def frozen(name):
        print("frozen", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)

    mask_secret("known-to-me-alone")
    frozen("known-to-me-alone")
"""


def test_a_watchdog_is_told_no_secret(programs: Programs, record: Record, penstock_home: Path) -> None:
    """It closes the record of a program that cannot, and has never heard of the secret."""
    programs.start(FROZEN, PENSTOCK_JOURNAL_INTERVAL_SECONDS="60")  # of the run it knows only what it was told
    run = until(lambda: next((run for run in record.task_runs() if run.state_name == "TimedOut"), None))
    assert (run.name, run.tags) == (MASK, (MASK,))
    assert b"known-to-me-alone" not in everything(penstock_home)
