"""`import prefect` is Penstock where it was asked for, and nowhere else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.flows.kit import until

from .conftest import Record, Script, python

FLOW = """
    import sys
    from prefect import flow, task

    @task
    def double(x):
        return 2 * x

    @flow
    def main(x: int = 21):
        print(double(x), __name__, sys.argv[1:])

    if __name__ == "__main__":
        main()
"""


def test_every_way_to_ask_for_it_runs_the_script(script: Script, record: Record) -> None:
    plain = FLOW.replace("import sys", "import sys, penstock.prefect", 1)
    ends = [
        script(FLOW, "--fast", "x"),
        script(FLOW, "--fast", "x", command=("-m", "penstock.prefect")),
        script(plain, "--fast", "x", command=()),
        script(
            FLOW.replace("import sys", "import sys, penstock", 1), "--fast", "x", command=(), PENSTOCK_PREFECT_ALIAS="3"
        ),
    ]

    assert [(ended.code, ended.out) for ended in ends] == [(0, "42 __main__ ['--fast', 'x']\n")] * 4, ends
    assert record.flow_runs() == [("main", "COMPLETED", "Completed")] * 4


def test_a_module_runs_as_well(script: Script, folder: Path, environment: dict[str, str]) -> None:
    script(FLOW)

    ended = python(folder, environment, "-m", "penstock", "run", "--prefect", "-m", "script", "y")

    assert ended.out == "42 __main__ ['y']\n", ended.err


def test_without_the_option_a_script_is_run_as_it_is(script: Script) -> None:
    ended = script(
        "import sys\nprint(sys.argv[1:], 'penstock.prefect' in sys.modules)", "a", command=("-m", "penstock", "run")
    )

    assert ended.out == "['a'] False\n"


def test_it_is_never_active_unless_asked(script: Script) -> None:
    ended = script("import penstock\nfrom penstock import flow\nimport prefect", command=())

    assert ended.code == 1
    assert ended.err.splitlines()[-1] == "ModuleNotFoundError: No module named 'prefect'"


def test_it_refuses_where_the_real_package_is_imported(script: Script, folder: Path) -> None:
    (folder / "prefect.py").write_text("real = True")

    ended = script("import prefect\nimport penstock.prefect", command=())

    assert ended.code == 1
    assert "The package prefect itself is imported in this program already" in ended.err.splitlines()[-1]


def test_it_comes_before_a_package_that_is_installed(script: Script, folder: Path) -> None:
    (folder / "prefect.py").write_text("real = True")

    ended = script("import prefect\nprint(hasattr(prefect, 'flow'))")

    assert ended.out == "True\n"


def test_a_script_that_imports_both_is_told_that_they_are_one(script: Script) -> None:
    ended = script("import penstock\nfrom prefect import flow\nassert flow is penstock.flow")

    assert ended.code == 0
    assert ended.err.endswith(
        "script.py:2: prefect and penstock are both imported; in this process both are Penstock.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nosuch.py",), "Error: nosuch.py cannot be read: No such file or directory."),
        (("-m", "nosuch"), "Error: there is no module 'nosuch'."),
    ],
)
def test_what_cannot_be_run_is_said(
    folder: Path, environment: dict[str, str], arguments: tuple[str, ...], said: str
) -> None:
    ended = python(folder, environment, "-m", "penstock", "run", "--prefect", *arguments)

    assert ended.code == 2
    assert ended.err.splitlines() == [said]


def test_settings_are_read_under_prefects_names(script: Script) -> None:
    ended = script(
        """
        from importlib import import_module
        from prefect.settings import PREFECT_API_KEY, PREFECT_LOGGING_LEVEL, PREFECT_UI_URL, temporary_settings
        current = import_module("penstock.settings").current

        with temporary_settings({PREFECT_UI_URL: "http://other", "PREFECT_LOGGING_LEVEL": "ERROR"}):
            print(PREFECT_UI_URL.value(), PREFECT_LOGGING_LEVEL.value())
        print(PREFECT_LOGGING_LEVEL.value(), PREFECT_API_KEY.value(), current().api_url,
              current().flows_default_retries)
        """,
        PREFECT_LOGGING_LEVEL="WARNING",
        PREFECT_FLOW_DEFAULT_RETRIES="2",
        PREFECT_API_URL="https://api.prefect.cloud/api/accounts/x",
        PREFECT_API_KEY="pnu_abc",
        PREFECT_AGENT_QUERY_INTERVAL="5",
        PENSTOCK_FLOWS_DEFAULT_RETRIES="3",
    )

    assert ended.out == "http://other ERROR\nWARNING None None 3\n", ended.err
    assert ended.err.splitlines() == [
        "penstock: PREFECT_API_URL is Prefect's cloud, and no server of Penstock's: runs are recorded on this machine.",
        "penstock: PREFECT_AGENT_QUERY_INTERVAL means nothing here.",
    ]


def test_the_rules_of_both_versions(script: Script) -> None:
    """A flow that returns nothing though a task failed: Failed by Prefect 2's rule, not by Prefect 3's."""
    text = """
        from prefect import flow, task

        @task
        def fails():
            raise ValueError

        @flow
        def main():
            fails(return_state=True)

        print(main(return_state=True).name)
    """

    assert script(text).out == "Completed\n"
    assert script(text, command=("-m", "penstock", "run", "--prefect", "--rules", "2")).out == "Failed\n"


def test_tasks_in_processes_find_it(script: Script) -> None:
    ended = script("""
        from prefect import flow, task
        from prefect.task_runners import ProcessPoolTaskRunner

        @task
        def double(x):
            return 2 * x

        @flow(task_runner=ProcessPoolTaskRunner(max_workers=1))
        def main():
            print(double.map([1, 2]).result())

        if __name__ == "__main__":
            main()
    """)

    assert ended.out == "[2, 4]\n", ended.err


def test_a_run_is_entered_again_by_a_command(
    script: Script, folder: Path, environment: dict[str, str], record: Record
) -> None:
    """Which was not started by the alias, and learns from the run that its program was."""
    script("""
        from pathlib import Path
        from prefect import flow

        @flow
        def main():
            if not Path("there").exists():
                raise ValueError("not there")

        if __name__ == "__main__":
            main()
    """)
    ((run_id,),) = record.rows("SELECT name FROM flow_run")
    (folder / "there").touch()

    ended = python(folder, environment, "-m", "penstock", "flow-run", "retry", run_id)

    assert ended.code == 0, ended.err
    assert record.flow_runs() == [("main", "COMPLETED", "Completed")]


def test_what_is_served_runs_by_it(script: Script, folder: Path, environment: dict[str, str], record: Record) -> None:
    text = FLOW.replace("        main()", '        main.serve("alias")')
    (folder / "script.py").write_text("\n".join(line[4:] for line in text.splitlines()))
    served = subprocess.Popen(
        [sys.executable, "-m", "penstock", "run", "--prefect", "script.py"],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert served.stdout is not None
        assert "Serving 'main/alias'" in served.stdout.readline()
        ended = python(folder, environment, "-m", "penstock", "deployment", "run", "main/alias")
        assert ended.code == 0, ended.err
        until(lambda: record.flow_runs() == [("main", "COMPLETED", "Completed")], 30)
    finally:
        served.terminate()
        served.communicate(timeout=20)
