"""The steps that bring a deployment's code to where it is run, and the user's own: `{step: its arguments}`, in order.

Law: a step's arguments are data. Nothing in them is evaluated; a program is started only where a step's own purpose is
to start one, with its arguments as a list wherever that is possible.
"""

from __future__ import annotations

import importlib
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

from ..domain.errors import DeploymentError

Step = Callable[..., dict[str, Any] | None]
# What precedes the names of our steps; the field's own name for them is understood as well.
PREFIXES = ("penstock.deployments.steps.", "prefect.deployments.steps.")


def set_working_directory(directory: str) -> dict[str, Any]:
    """Goes to a folder of the machine that runs the flow."""
    try:
        os.chdir(os.path.expanduser(directory))
    except OSError as error:
        raise DeploymentError(f"set_working_directory: {directory} cannot be entered: {error.strerror}.") from None
    return {"directory": os.getcwd()}


def git_clone(
    repository: str,
    branch: str | None = None,
    commit_sha: str | None = None,
    access_token: str | None = None,
    include_submodules: bool = False,
    directories: list[str] | None = None,
    clone_directory_name: str | None = None,
) -> dict[str, Any]:
    """Clones a repository into the folder that the run is in (or brings one that is there up to date), and goes there.

    `access_token` may name an environment variable as `$NAME`. Raises `DeploymentError` with what git said.
    """
    if repository.startswith("-") or (branch or "").startswith("-") or (commit_sha or "").startswith("-"):
        raise DeploymentError("git_clone: a repository, branch or commit does not begin with '-'.")
    name = clone_directory_name or _folder_of(repository, branch or commit_sha)
    if os.path.basename(name) != name or name in ("", ".", ".."):
        raise DeploymentError(f"git_clone: {name!r} is no name of a folder.")
    source = _with_token(repository, access_token)
    if os.path.isdir(os.path.join(name, ".git")):
        # (A token may have changed; and it is not kept in the clone.)
        _git("-C", name, "fetch", "--quiet", "--depth", "1", source, commit_sha or branch or "HEAD", secret=source)
        _git("-C", name, "checkout", "--quiet", "--force", "FETCH_HEAD")
    else:
        which = ["--branch", branch] if branch and not commit_sha else []
        _git("clone", "--quiet", "--depth", "1", *which, "--", source, name, secret=source)
        _git("-C", name, "remote", "set-url", "origin", repository)
        if commit_sha:
            _git("-C", name, "fetch", "--quiet", "--depth", "1", source, commit_sha, secret=source)
            _git("-C", name, "checkout", "--quiet", "--force", "FETCH_HEAD")
    if directories:
        _git("-C", name, "sparse-checkout", "set", *directories)
    if include_submodules:
        _git("-C", name, "submodule", "update", "--init", "--recursive", "--depth", "1")
    os.chdir(name)
    return {"directory": os.getcwd()}


def run_shell_script(
    script: str,
    directory: str | None = None,
    env: dict[str, str] | None = None,
    stream_output: bool = True,
    expand_env_vars: bool = False,
) -> dict[str, Any]:
    """Runs commands, one a line, without a shell; gives what they wrote. Raises `DeploymentError` when one fails."""
    said: list[str] = []
    environment = {**os.environ, **(env or {})}
    for line in filter(None, map(str.strip, script.splitlines())):
        command = shlex.split(os.path.expandvars(line) if expand_env_vars else line, comments=True)
        if not command:
            continue
        try:
            done = subprocess.run(
                command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                check=False,
            )  # fmt: skip
        except OSError as error:
            raise DeploymentError(f"run_shell_script: {command[0]!r} cannot be run: {error.strerror}.") from None
        if stream_output:
            print(done.stdout, end="")
        if done.returncode:
            raise DeploymentError(
                f"run_shell_script: {line!r} ended with exit code {done.returncode}: {done.stdout.strip()[-2000:]}"
            )
        said.append(done.stdout.strip())
    return {"stdout": "\n".join(said), "stderr": ""}


def pip_install_requirements(
    requirements_file: str = "requirements.txt", directory: str | None = None, stream_output: bool = True
) -> dict[str, Any]:
    """Installs what a requirements file names, for the Python that runs the flow."""
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "-r", requirements_file]
    return run_shell_script(shlex.join(command), directory=directory, stream_output=stream_output)


OURS: dict[str, Step] = {
    "set_working_directory": set_working_directory,
    "git_clone": git_clone,
    "run_shell_script": run_shell_script,
    "pip_install_requirements": pip_install_requirements,
}


def run(steps: Iterable[dict[str, Any]]) -> str | None:
    """Takes the steps, and gives the folder that the last one went to; None where none did.

    Raises `DeploymentError`, which names the step.
    """
    folder: str | None = None
    for step in steps:
        for name, given in step.items():
            arguments = dict(given or {})
            arguments.pop("id", None)
            arguments.pop("requires", None)
            try:
                value = find(name)(**arguments)
            except DeploymentError:
                raise
            except TypeError as error:
                raise DeploymentError(f"Step {name!r} cannot be taken with these arguments: {error}.") from error
            except Exception as error:
                raise DeploymentError(f"Step {name!r} failed: {type(error).__name__}: {error}") from error
            if isinstance(value, dict) and isinstance(value.get("directory"), str):
                folder = value["directory"]
    return folder


def find(name: str) -> Step:
    """The function that a step names: one of ours, or the user's as `package.module.function`. Raises
    `DeploymentError`."""
    for prefix in PREFIXES:
        if name.startswith(prefix):
            ours = OURS.get(name.removeprefix(prefix))
            if ours is None:
                raise DeploymentError(f"There is no step {name!r}; there are: {', '.join(OURS)}.")
            return ours
    module, _, function = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), function) if module else OURS[function]
    except (ImportError, AttributeError, KeyError) as error:
        raise DeploymentError(f"Step {name!r} cannot be found: {type(error).__name__}: {error}.") from error
    if not callable(found):
        raise DeploymentError(f"Step {name!r} is no function.")
    step: Step = found
    return step


def _folder_of(repository: str, branch: str | None) -> str:
    name = repository.rstrip("/").rpartition("/")[2].removesuffix(".git") or "repository"
    return name if branch is None else f"{name}-{branch.replace('/', '-')}"


def _with_token(repository: str, token: str | None) -> str:
    if not token:
        return repository
    value = os.environ.get(token[1:], "") if token.startswith("$") else token
    if not value:
        raise DeploymentError(f"git_clone: the environment variable {token} is not set.")
    scheme, sep, rest = repository.partition("://")
    if not sep or scheme not in ("http", "https"):
        raise DeploymentError("git_clone: access_token goes with an https:// repository only.")
    return f"{scheme}://x-access-token:{value}@{rest}"


def _git(*arguments: str, secret: str = "") -> None:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=False,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        )  # fmt: skip
    except OSError as error:
        raise DeploymentError(f"git_clone: git cannot be run: {error.strerror}.") from None
    if done.returncode:
        said = done.stderr.strip()[-2000:]
        raise DeploymentError(f"git_clone: git {arguments[0]}: {said.replace(secret, '…') if secret else said}")
