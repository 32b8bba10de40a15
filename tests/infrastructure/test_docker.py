"""The driver of Docker containers, on a real engine: the exam, and what only containers do."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from penstock.domain.launches import Place
from penstock.exceptions import InfrastructureNotAvailable, InfrastructureRefused
from penstock.infrastructure.contract import Driver, Job
from penstock.infrastructure.docker import KEY, DockerDriver

from ..containers import IMAGE, Engine, client
from .exam import ENDS, SLEEPS, Exam

HUNGRY = "print('begun', flush=True); held = [b'x' * (1 << 20) for _ in range(400)]"


@pytest.fixture
def api(engine: Engine) -> Iterator[Any]:
    with contextlib.closing(client(engine.address)) as asked:
        yield asked


class TestDockerDriver(Exam):
    @pytest.fixture
    def driver(self, engine: Engine, api: Any) -> Iterator[DockerDriver]:
        self.volumes = engine.volumes
        made = DockerDriver()
        before = {each.id for each in api.containers.list(all=True, ignore_removed=True)}
        yield made
        for each in api.containers.list(all=True, ignore_removed=True):
            if each.id not in before:
                made.forget(Place("docker", made.scope(), each.id))
                with contextlib.suppress(Exception):
                    each.remove(force=True)

    @pytest.fixture
    def fresh(self) -> Callable[[], Driver]:
        return DockerDriver

    def python(self, code: str) -> tuple[str, ...]:
        return (sys.executable, "-c", code)

    def job(self, code: str, key: str | None = None, **configuration: Any) -> Job:
        whole = {"image": IMAGE, "network_mode": "none", "volumes": self.volumes, **configuration}
        return super().job(code, key, **whole)

    def test_it_has_its_labels_its_environment_and_its_limits(self, driver: DockerDriver, api: Any) -> None:
        lines: list[str] = []
        code = "import os; print(os.environ['EXAM'], os.environ['MORE'], os.getcwd())"
        job = self.job(code, env={"MORE": "2"}, working_dir="/tmp", mem_limit="64m", cpus=0.5)
        place = driver.launch(job)
        self.ended(driver, place, line=lines.append)
        assert lines == ["1 2 /tmp"]
        about = api.containers.get(place.id).attrs
        assert about["Config"]["Labels"] == {KEY: job.key, "penstock.auto-remove": "true", "a": "b"}
        assert (about["HostConfig"]["Memory"], about["HostConfig"]["NanoCpus"]) == (64 << 20, 500_000_000)

    def test_a_container_is_removed_when_its_end_was_recorded_unless_it_is_to_stay(
        self, driver: DockerDriver, api: Any
    ) -> None:
        removed, kept = driver.launch(self.job(ENDS)), driver.launch(self.job(ENDS, auto_remove=False))
        for place in (removed, kept):
            self.ended(driver, place)
            driver.forget(place)
        left = {each.id for each in api.containers.list(all=True, ignore_removed=True)}
        assert (removed.id in left, kept.id in left) == (False, True)

    def test_what_the_kernel_killed_for_its_memory_says_so(self, driver: DockerDriver) -> None:
        place = driver.launch(self.job(HUNGRY, mem_limit="32m", memswap_limit="32m"))
        ended = self.ended(driver, place)
        assert ended.code == 137
        assert "out of memory (its limit is 33,554,432 bytes)" in (ended.why or "")

    def test_a_container_that_somebody_removed_is_gone(self, driver: DockerDriver, api: Any) -> None:
        place = driver.launch(self.job(SLEEPS))
        self.until_begun(driver, place)
        seen: list[Any] = []
        waiter = threading.Thread(target=lambda: seen.append(driver.wait(place, 30)))
        waiter.start()
        api.containers.get(place.id).remove(force=True)
        waiter.join(30)
        assert seen[0] is not None
        assert driver.stop(place, 5).how == "gone"
        after = driver.wait(place, 1)
        assert after is not None
        assert after.gone

    def test_a_container_that_somebody_paused_is_stopped(self, driver: DockerDriver, api: Any) -> None:
        place = driver.launch(self.job(SLEEPS))
        self.until_begun(driver, place)
        api.containers.get(place.id).pause()
        assert driver.stop(place, 20).how == "returned"

    def test_a_launch_that_came_no_further_than_the_container_goes_on(self, driver: DockerDriver, api: Any) -> None:
        """As a worker leaves it that dies in between."""
        job = self.job(ENDS)
        made = driver._create(job, IMAGE)
        place = driver.launch(job)
        assert place.id == made["Id"]
        assert self.ended(driver, place).code == 3

    def test_an_image_that_is_not_there_is_named(self, driver: DockerDriver) -> None:
        with pytest.raises(InfrastructureRefused, match=r"'no-such-image:7' is not there, and `image_pull_policy`"):
            driver.launch(self.job(ENDS, image="no-such-image:7", image_pull_policy="Never"))
        with pytest.raises((InfrastructureRefused, InfrastructureNotAvailable), match="'localhost:1/no-such:7' could"):
            driver.launch(self.job(ENDS, image="localhost:1/no-such:7"))

    def test_no_image_is_refused_with_what_to_set(self, driver: DockerDriver) -> None:
        with pytest.raises(InfrastructureRefused, match="set `image`"):
            driver.launch(self.job(ENDS, image=None))

    @pytest.mark.parametrize(
        "wrong",
        [{"mem_limit": "much"}, {"mem_limit": "1k"}, {"network_mode": "no-such-net"}, {"volumes": ["/a:/b:zz"]}],
    )
    def test_what_the_engine_will_never_take_is_refused(self, driver: DockerDriver, api: Any, wrong: Any) -> None:
        job = self.job(ENDS, **wrong)
        with pytest.raises(InfrastructureRefused, match="A container of image"):
            driver.launch(job)
        assert not api.containers.list(all=True, ignore_removed=True, filters={"label": f"{KEY}={job.key}"})

    def test_no_engine_is_told(self, driver: DockerDriver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCKER_HOST", "unix:///no/such.sock")
        with pytest.raises(InfrastructureNotAvailable, match="cannot be reached: is the engine running"):
            DockerDriver().scope()
