"""A Docker engine for tests: the one that DOCKER_HOST names or this machine has, else one of our own, where we are
root and `dockerd` is installed.

No registry is asked: the image has next to nothing in it, and this machine's own programs are mounted into its
containers, with the Python and the packages that the tests run with.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

IMAGE = "penstock-test:1"
SOURCE = Path(__file__).parents[1] / "src"
START_SECONDS = 40.0


class Engine(NamedTuple):
    """`address` is what DOCKER_HOST is to be; `volumes` are what a container needs to run this Python; `network_mode`
    is one in which it reaches servers of this machine."""

    address: str
    volumes: list[str]
    network_mode: str = "host"


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[Engine]:
    """Skips where there is none, and none can be started; fails where none is installed and everything is required."""
    with contextlib.ExitStack() as stack:
        address = _address_of_one_that_runs() or stack.enter_context(_started())
        _import_image(address)
        yield Engine(address, _volumes())


@pytest.fixture
def engine(docker_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine, as what this test asks for."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine.address)
    return docker_engine


def client(address: str) -> Any:
    import docker

    return docker.DockerClient(base_url=address, version="auto", timeout=60)


def _answers(address: str) -> bool:
    import docker

    try:
        with contextlib.closing(client(address)) as asked:
            return bool(asked.ping())
    except docker.errors.DockerException:
        return False


def _address_of_one_that_runs() -> str | None:
    for address in (os.environ.get("DOCKER_HOST"), "unix:///var/run/docker.sock"):
        if address and (not address.startswith("unix://") or os.path.exists(address[7:])) and _answers(address):
            return address
    return None


@contextlib.contextmanager
def _started() -> Iterator[str]:
    program = shutil.which("dockerd") or shutil.which("dockerd", path="/usr/sbin:/usr/local/sbin")
    if program is None or os.geteuid() != 0:
        why = "there is no Docker engine, and none can be started (dockerd, as root)"
        if os.environ.get("PENSTOCK_TEST_REQUIRE_ALL") == "1":
            pytest.fail(f"{why}; PENSTOCK_TEST_REQUIRE_ALL=1 asks for every tool", pytrace=False)
        pytest.skip(why)
    # (A socket's path has little room.)
    folder = Path(tempfile.mkdtemp(prefix="pst-docker-"))
    address = f"unix://{folder}/docker.sock"
    command = [
        program, f"--host={address}", f"--data-root={folder}/data", f"--exec-root={folder}/exec",
        f"--pidfile={folder}/docker.pid", "--storage-driver=vfs", "--bridge=none", "--iptables=false",
        "--ip6tables=false", "--log-level=warn",
    ]  # fmt: skip
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > deadline:
                said = (folder / "log").read_text(errors="replace").strip().splitlines()[-3:]
                pytest.skip(f"no Docker engine can run on this machine: {' | '.join(said)}")
            time.sleep(0.05)
        yield address
        with contextlib.closing(client(address)) as asked:
            for each in asked.containers.list(all=True, ignore_removed=True):
                each.remove(force=True)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        process.kill()
        for line in Path("/proc/mounts").read_text().splitlines():
            if (place := line.split()[1]).startswith(f"{folder}/"):
                subprocess.run(["umount", "--lazy", place], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _import_image(address: str) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in ("tmp", "etc", "root"):
            made = tarfile.TarInfo(name)
            made.type, made.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(made)
        for name, text in (("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("etc/hosts", "127.0.0.1 localhost\n")):
            made = tarfile.TarInfo(name)
            made.size = len(text)
            tar.addfile(made, io.BytesIO(text.encode()))
    import docker

    with contextlib.closing(docker.APIClient(base_url=address, version="auto", timeout=60)) as asked:
        asked.import_image_from_data(
            content.getvalue(), repository=IMAGE.partition(":")[0], tag=IMAGE.partition(":")[2]
        )


def _volumes() -> list[str]:
    """What this Python is made of, at its own places, not to be written to."""
    wanted = ["/usr", "/bin", "/lib", "/lib64", sys.prefix, sys.base_prefix, str(SOURCE)]
    found: list[str] = []
    for each in dict.fromkeys(wanted):
        if os.path.isdir(each) and not any(each.startswith(f"{other}/") for other in found):
            found.append(each)
    return [f"{each}:{each}:ro" for each in found]
