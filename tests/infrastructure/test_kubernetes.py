"""The driver of Kubernetes: the exam, and what only clusters do.

Against a cluster of our own (`cluster.py`); or a real one, which PENSTOCK_TEST_KUBECONFIG names, with
PENSTOCK_TEST_KUBERNETES_IMAGE as an image that has Python: then what only the stand-in can do is skipped.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from penstock.domain import templates
from penstock.domain.launches import Place
from penstock.exceptions import InfrastructureError, InfrastructureNotAvailable, InfrastructureRefused
from penstock.infrastructure.contract import Driver, Job
from penstock.infrastructure.kubernetes import KEY, KubernetesDriver
from penstock.infrastructure.kubernetes_template import KUBERNETES_TEMPLATE

from .cluster import Cluster
from .exam import ENDS, SLEEPS, Exam

REAL = os.environ.get("PENSTOCK_TEST_KUBECONFIG")
IMAGE = os.environ.get("PENSTOCK_TEST_KUBERNETES_IMAGE", "python")
MANIFEST = Path(__file__).parents[2] / "deploy" / "kubernetes-worker.yaml"


@pytest.fixture
def stand_in(cluster: Cluster) -> Cluster:
    if REAL:
        pytest.skip("what a real cluster cannot be asked to do")
    return cluster


class TestKubernetesDriver(Exam):
    @pytest.fixture
    def driver(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesDriver]:
        if REAL:
            monkeypatch.setenv("KUBECONFIG", REAL)
        else:
            request.getfixturevalue("cluster")
        self.launched: list[Place] = []
        made = KubernetesDriver()
        launch = made.launch

        def remembered(job: Job) -> Place:
            place = launch(job)
            self.launched.append(place)
            return place

        monkeypatch.setattr(made, "launch", remembered)
        yield made
        for each in made._followers.values():
            each.close()
        if REAL:
            for place in self.launched:
                made.stop(place, 0)
                made.forget(place)

    @pytest.fixture
    def fresh(self) -> Callable[[], Driver]:
        return KubernetesDriver

    def python(self, code: str) -> tuple[str, ...]:
        return ("python" if REAL else sys.executable, "-c", code)

    def job(self, code: str, key: str | None = None, **variables: Any) -> Job:
        env = variables.pop("env", {})
        filled = templates.filled(KUBERNETES_TEMPLATE, {"image": IMAGE, **variables}, of="the test")
        return Job(
            name="exam", key=key or f"{uuid4().hex}-1", command=self.python(code), env={"EXAM": "1"},
            labels={"a": "b"}, configuration={**filled, "env": env},
        )  # fmt: skip

    # --- what is launched --------------------------------------------------------------------------------------------

    def test_a_job_is_what_the_template_and_its_variables_say(
        self, driver: KubernetesDriver, stand_in: Cluster
    ) -> None:
        job = self.job(
            "import os; print(os.environ['EXAM'], os.environ['MORE'])", env={"MORE": "2"}, namespace="team-a",
            service_account_name="runner", limits={"memory": "1Gi"}, grace_seconds=7,
        )  # fmt: skip
        lines: list[str] = []
        place = driver.launch(job)
        self.ended(driver, place, line=lines.append)
        assert lines == ["1 2"]
        (made,) = stand_in.all("jobs")
        assert (made["metadata"]["namespace"], made["metadata"]["labels"]) == ("team-a", {"a": "b", KEY: job.key})
        assert made["metadata"]["annotations"] == {KEY: job.key}
        pod = made["spec"]["template"]["spec"]
        assert (pod["serviceAccountName"], pod["terminationGracePeriodSeconds"]) == ("runner", 7)
        assert pod["containers"][0]["resources"] == {"requests": {}, "limits": {"memory": "1Gi"}}
        assert place.id == f"team-a:{made['metadata']['name']}"

    def test_a_template_of_ones_own_is_sent_as_it_is_and_its_environment_stays(
        self, driver: KubernetesDriver, stand_in: Cluster
    ) -> None:
        """A key may come from a secret of the cluster, and be in no manifest."""
        job = self.job(ENDS)
        container = job.configuration["job_manifest"]["spec"]["template"]["spec"]["containers"][0]
        secret = {"name": "EXAM", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "exam"}}}
        container.update(env=[secret], volumeMounts=[{"name": "x", "mountPath": "/x"}])
        driver.launch(job)
        sent = stand_in.all("jobs")[0]["spec"]["template"]["spec"]["containers"][0]
        assert (sent["env"], sent["volumeMounts"]) == ([secret], [{"name": "x", "mountPath": "/x"}])

    def test_what_the_cluster_does_not_know_is_refused_with_its_place(
        self, driver: KubernetesDriver, stand_in: Cluster
    ) -> None:
        job = self.job(ENDS)
        job.configuration["job_manifest"]["spec"]["template"]["spec"]["containers"][0]["imagePolicy"] = "x"
        with pytest.raises(InfrastructureRefused, match="'imagePolicy'"):
            driver.launch(job)
        assert stand_in.all("jobs") == []

    def test_a_manifest_without_containers_is_refused(self, driver: KubernetesDriver) -> None:
        job = self.job(ENDS)
        job.configuration["job_manifest"] = {"spec": {}}
        with pytest.raises(InfrastructureRefused, match=r"no spec\.template\.spec\.containers"):
            driver.launch(job)

    def test_names_and_labels_fit_whatever_a_run_is_called(self, driver: KubernetesDriver) -> None:
        base = self.job(ENDS)
        job = Job(
            name="Ünïcode / " + "x" * 300, key=base.key, command=base.command, env={}, configuration=base.configuration,
            labels={"penstock.flow-run-name": "-a b/ü!" + "y" * 300 + "-", "empty": "!!!"},
        )  # fmt: skip
        place = driver.launch(job)
        assert self.ended(driver, place).code == 3

    def test_another_job_of_that_name_is_not_taken_for_ours(self, driver: KubernetesDriver, stand_in: Cluster) -> None:
        job = self.job(ENDS)
        driver.launch(job)
        stand_in.all("jobs")[0]["metadata"]["annotations"][KEY] = "another"
        with pytest.raises(InfrastructureRefused, match="already exists"):
            driver.launch(job)

    def test_a_namespace_that_is_not_there_is_named(self, driver: KubernetesDriver, stand_in: Cluster) -> None:
        with pytest.raises(InfrastructureRefused, match="no namespace 'nowhere'"):
            driver.launch(self.job(ENDS, namespace="nowhere"))

    # --- what is seen ------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("image", "said"),
        [
            ("missing", "Image 'missing' cannot be pulled: pull access denied"),
            ("unschedulable", "No node takes the pod: 0/3 nodes are available"),
            ("refused", 'FailedCreate: pods "x" is forbidden: exceeded quota'),
        ],
    )
    def test_what_keeps_a_pod_from_beginning_is_said(
        self, driver: KubernetesDriver, stand_in: Cluster, image: str, said: str
    ) -> None:
        place = driver.launch(self.job(ENDS, image=image))
        problem = None
        for _ in range(200):
            problem = driver.problem(place)
            if problem is not None:
                break
            assert driver.wait(place, 0.02) is None
        assert said in (problem or "")
        assert driver.started(place) is None
        assert driver.stop(place, 5).how in ("returned", "gone")

    @pytest.mark.parametrize(
        ("image", "code", "said"),
        [
            ("oom", 137, "out of memory"),
            ("evicted", None, "its node evicted the pod: The node was low on resource"),
            ("preempted", None, "the cluster took its place away: preempted by"),
        ],
    )
    def test_what_the_cluster_did_to_a_pod_is_said(
        self, driver: KubernetesDriver, stand_in: Cluster, image: str, code: int | None, said: str
    ) -> None:
        ended = self.ended(driver, driver.launch(self.job(ENDS, image=image)))
        assert ended.code == code
        assert said in (ended.why or "")

    def test_a_pod_that_does_not_begin_in_time_is_given_up_with_the_reason(
        self, driver: KubernetesDriver, stand_in: Cluster
    ) -> None:
        place = driver.launch(self.job(ENDS, image="unschedulable", pod_watch_timeout_seconds=1))
        ended = self.ended(driver, place)
        assert "did not begin in time: No node takes the pod" in (ended.why or "")
        assert stand_in.all("jobs") == []

    def test_no_line_is_lost_or_given_twice_when_the_stream_breaks_off(
        self, driver: KubernetesDriver, stand_in: Cluster
    ) -> None:
        stand_in.broken = 3
        code = "import time\nfor n in range(8): print(n, flush=True); time.sleep(0.05)"
        lines: list[str] = []
        self.ended(driver, driver.launch(self.job(code)), line=lines.append)
        assert lines == [str(number) for number in range(8)]

    def test_a_watch_that_is_too_old_is_begun_anew(self, driver: KubernetesDriver, stand_in: Cluster) -> None:
        stand_in.forgotten = 1 << 30
        place = driver.launch(self.job(ENDS))
        assert self.ended(driver, place).code == 3

    def test_a_job_that_somebody_deleted_is_gone(self, driver: KubernetesDriver, stand_in: Cluster) -> None:
        place = driver.launch(self.job(SLEEPS))
        self.until_begun(driver, place)
        seen: list[Any] = []
        waiter = threading.Thread(target=lambda: seen.append(driver.wait(place, 30)))
        waiter.start()
        stand_in.delete("jobs", "default", place.id.partition(":")[2], {"propagationPolicy": "Foreground"})
        waiter.join(30)
        assert seen[0] is not None
        assert driver.stop(place, 5).how == "gone"

    # --- ending ------------------------------------------------------------------------------------------------------

    def test_nothing_is_left_in_the_cluster(self, driver: KubernetesDriver, stand_in: Cluster) -> None:
        ended, stopped = driver.launch(self.job(ENDS)), driver.launch(self.job(SLEEPS))
        self.ended(driver, ended)
        driver.forget(ended)
        self.until_begun(driver, stopped)
        driver.stop(stopped, 5)
        driver.forget(stopped)
        assert stand_in.all("jobs") == []

    def test_a_job_that_is_to_stay_for_a_time_is_left_to_the_cluster(
        self, driver: KubernetesDriver, stand_in: Cluster
    ) -> None:
        place = driver.launch(self.job(ENDS, finished_job_ttl=60))
        self.ended(driver, place)
        driver.forget(place)
        assert stand_in.all("jobs")[0]["spec"]["ttlSecondsAfterFinished"] == 60

    def test_an_id_is_no_text_of_any_kind(self, driver: KubernetesDriver) -> None:
        with pytest.raises(InfrastructureError, match="names no job"):
            driver.stop(Place("kubernetes", driver.scope(), "x"), 0)
        with pytest.raises(InfrastructureNotAvailable, match="cannot be reached from here"):
            driver.stop(Place("kubernetes", "another-cluster", "default:x"), 0)

    # --- the way there -----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("forbidden", "said"),
        [
            ("create jobs", "The worker may not create jobs in namespace default: give its role that right"),
            ("get namespaces", "The worker may not get namespace kube-system"),
        ],
    )
    def test_a_right_that_is_missing_is_named(
        self, driver: KubernetesDriver, stand_in: Cluster, forbidden: str, said: str
    ) -> None:
        stand_in.forbidden.add(forbidden)
        with pytest.raises(InfrastructureRefused, match=said):
            driver.launch(self.job(ENDS))

    def test_without_the_right_to_delete_a_pod_is_said_to_run_on(
        self, driver: KubernetesDriver, stand_in: Cluster
    ) -> None:
        place = driver.launch(self.job(SLEEPS))
        self.until_begun(driver, place)
        stand_in.forbidden.add("delete pods")
        with pytest.raises(InfrastructureError, match="may not delete pods"):
            driver.stop(place, 1)
        assert driver.wait(place, 0.05) is None

    def test_the_workers_manifest_gives_the_rights_that_are_used_and_no_others(
        self, driver: KubernetesDriver, stand_in: Cluster
    ) -> None:
        lines: list[str] = []
        place = driver.launch(self.job(ENDS))
        driver.launch(self.job(ENDS, key="again-1"))
        driver.launch(self.job(ENDS, key="again-1"))
        self.ended(driver, place, line=lines.append)
        driver.forget(place)
        place = driver.launch(self.job(SLEEPS))
        self.until_begun(driver, place)
        assert driver.wait(place, 1.1) is None
        driver.stop(place, 5)
        driver.problem(driver.launch(self.job(ENDS, image="refused")))
        rules = [
            (verb, resource)
            for document in yaml.safe_load_all(MANIFEST.read_text())
            if document["kind"] in ("Role", "ClusterRole")
            for rule in document["rules"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        ]
        assert {f"{verb} {resource}" for verb, resource in rules} == stand_in.used

    def test_a_token_that_is_not_good_is_told(self, stand_in: Cluster) -> None:
        stand_in.write_kubeconfig("another")
        with pytest.raises(InfrastructureNotAvailable, match="does not know who asks"):
            KubernetesDriver().scope()

    def test_a_kubeconfig_and_a_context_can_be_chosen(
        self, stand_in: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
        driver = KubernetesDriver()
        place = driver.launch(self.job(ENDS, kubeconfig=str(stand_in.kubeconfig), context="test"))
        assert place.scope == stand_in.uid
        assert self.ended(driver, place).code == 3
        with pytest.raises(InfrastructureRefused, match="no way to a cluster"):
            driver.launch(self.job(ENDS, kubeconfig=str(stand_in.kubeconfig), context="nowhere"))

    def test_a_cluster_that_is_away_is_told(self, stand_in: Cluster) -> None:
        driver = KubernetesDriver()
        place = driver.launch(self.job(SLEEPS))
        stand_in.close()
        with pytest.raises(InfrastructureNotAvailable, match="is away"):
            driver.wait(place, 1)

    def test_without_a_cluster_it_is_said_that_there_is_no_way(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
        with pytest.raises(InfrastructureRefused, match="There is no way to a cluster"):
            KubernetesDriver().scope()
