"""What goes wrong in clusters, and what the driver of Kubernetes makes of it: on the cluster of the tests alone."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from penstock.domain.launches import Place
from penstock.exceptions import InfrastructureNotAvailable
from penstock.infrastructure.contract import Job
from penstock.infrastructure.kubernetes import KubernetesDriver, labels_of, manifest_of
from penstock.infrastructure.kubernetes_pods import Pod, end_of_job, explained_pod

from ..flows.kit import until
from . import cluster as stand_in
from .cluster import Cluster
from .exam import ENDS, SLEEPS, STUBBORN
from .test_kubernetes import TestKubernetesDriver as Exam

SIDECAR = {"name": "istio-proxy", "image": "istio", "state": {"running": {"startedAt": "2026-11-26T10:00:00Z"}}}
COUNTS = "import time\nfor n in range(8): print(n, flush=True); time.sleep(0.1)"
exam = Exam()  # its jobs, and not its tests


@pytest.fixture
def driver(cluster: Cluster) -> Iterator[KubernetesDriver]:
    made = KubernetesDriver()
    yield made
    for each in made._followers.values():
        each.close()


def within(seconds: float, call: Callable[[], Any]) -> Any:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert found, "it goes on and on"
    return found[0]


def lines_of(driver: KubernetesDriver, code: str) -> list[str]:
    lines: list[str] = []
    exam.ended(driver, driver.launch(exam.job(code)), line=lines.append)
    return lines


def changed(job: Job, **manifest: Any) -> Job:
    return msgspec.structs.replace(job, configuration={**job.configuration, "job_manifest": manifest})


# --- pods that others end --------------------------------------------------------------------------------------------


def test_a_pod_that_somebody_deleted_is_seen_though_its_job_stays(driver: KubernetesDriver, cluster: Cluster) -> None:
    place = driver.launch(exam.job(SLEEPS))
    exam.until_begun(driver, place)
    cluster.delete("pods", "default", cluster.all("pods")[0]["metadata"]["name"], {"gracePeriodSeconds": 1})
    until(lambda: not cluster.all("pods") and cluster.all("jobs")[0]["status"])
    ended = within(10, lambda: driver.wait(place, 3))
    assert ended is not None
    assert ended.gone
    assert "its pod was deleted by somebody else" in ended.why
    assert driver.stop(place, 1).how == "gone"


@pytest.mark.parametrize(
    ("condition", "code", "said"),
    [
        ({"type": "Complete"}, 0, None),
        ({"type": "Failed", "reason": "DeadlineExceeded"}, None, "it took longer than its job may: 5 s"),
        ({"type": "Failed", "reason": "BackoffLimitExceeded"}, None, "its pod was deleted"),
    ],
)
def test_a_job_without_a_pod_says_how_it_ended(condition: Any, code: int | None, said: str | None) -> None:
    job = {
        "metadata": {}, "spec": {"activeDeadlineSeconds": 5},
        "status": {"conditions": [{**condition, "status": "True"}]},
    }  # fmt: skip
    ended = end_of_job(job)
    assert ended is not None
    assert ended.code == code
    assert (said or "") in (ended.why or "")


def test_a_pod_that_was_made_while_its_job_was_deleted_is_ended_too(
    driver: KubernetesDriver, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, run, delete = threading.Event(), cluster._run, cluster.delete

    def late(namespace: str, job: Any) -> None:
        asked.wait(10)
        run(namespace, job)

    def deleting(*parts: Any) -> Any:
        asked.set()
        until(lambda: any(b"begun" in each.read_bytes() for each in cluster.folder.glob("*.log")))
        return delete(*parts)

    monkeypatch.setattr(cluster, "_run", late)
    place = driver.launch(exam.job(STUBBORN))
    monkeypatch.setattr(cluster, "delete", deleting)
    driver.stop(place, 1)
    assert all(each.poll() is not None for each in cluster.processes.values())


def test_a_grace_is_never_none_to_a_cluster(
    driver: KubernetesDriver, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of none, it forgets the pod at once, whose program runs on."""
    asked: list[Any] = []
    delete = cluster.delete
    monkeypatch.setattr(cluster, "delete", lambda *parts: (asked.append(parts), delete(*parts))[1])
    for grace in (0, 0.5, 1.4):
        place = driver.launch(exam.job(SLEEPS))
        exam.until_begun(driver, place)
        driver.stop(place, grace)
    assert [body["gracePeriodSeconds"] for kind, _, _, body in asked if kind == "pods"] == [1, 1, 2]


# --- lines -----------------------------------------------------------------------------------------------------------


def test_without_the_right_to_read_lines_waiting_ends_and_says_why(driver: KubernetesDriver, cluster: Cluster) -> None:
    cluster.forbidden.add("get pods/log")
    place = driver.launch(exam.job(SLEEPS))
    until(lambda: driver.started(place))
    lines: list[str] = []
    until(lambda: within(5, lambda: driver.wait(place, 0.2, lines.append)) is None and lines)
    assert "may not get pods/log" in lines[0]
    assert len(lines) == 1


@pytest.mark.parametrize("step", [0, -1])
def test_lines_are_not_told_by_their_times(
    driver: KubernetesDriver, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """CRI-O gives lines that are written at once one time; and clocks are set back."""
    seconds = itertools.count(59, step)
    monkeypatch.setattr(stand_in, "_nanoseconds", lambda: f"2026-11-26T10:00:{next(seconds):02d}.000000001Z")
    assert lines_of(driver, "for n in range(5): print(n)") == list("01234")


@pytest.mark.parametrize("step", [0, -1])
def test_nor_when_their_stream_breaks_off(
    driver: KubernetesDriver, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    seconds = itertools.count(59, step)
    monkeypatch.setattr(stand_in, "_nanoseconds", lambda: f"2026-11-26T10:00:{next(seconds):02d}.000000001Z")
    cluster.broken = 3
    assert lines_of(driver, COUNTS) == list("01234567")


def test_half_a_line_at_the_end_of_a_stream_is_given_whole(
    driver: KubernetesDriver, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, broken = cluster.log, threading.Event()

    def half(namespace: str, name: str, query: Any) -> Iterator[bytes]:
        pieces = log(namespace, name, query)
        if "follow" in query and not broken.is_set():
            broken.set()
            yield next(pieces)[:-4]
            return
        yield from pieces

    monkeypatch.setattr(cluster, "log", half)
    assert lines_of(driver, "print('a whole line', flush=True); import time; time.sleep(0.3)") == ["a whole line"]


def test_a_server_that_is_away_for_a_moment_takes_no_lines_along(
    driver: KubernetesDriver, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.broken = 1
    look, looks = driver._pod, itertools.count()

    def away(place: Place) -> Any:
        if threading.current_thread().name == "penstock-container-logs" and next(looks) == 1:
            raise InfrastructureNotAvailable("500")
        return look(place)

    monkeypatch.setattr(driver, "_pod", away)
    assert lines_of(driver, COUNTS) == list("01234567")


def test_of_several_containers_the_runs_own_is_watched(
    driver: KubernetesDriver, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meshes add theirs, before ours or after it, and these go on when ours has ended."""
    put = cluster.put

    def with_sidecar(resource: str, object: Any, kind: str = "MODIFIED") -> None:
        if resource == "pods" and object["status"].get("containerStatuses"):
            object["status"].update(
                containerStatuses=[SIDECAR, object["status"]["containerStatuses"][-1]], phase="Running"
            )
            object["spec"]["containers"] = [{"name": "istio-proxy"}, object["spec"]["containers"][-1]]
            annotations = object["metadata"].setdefault("annotations", {})
            annotations["kubectl.kubernetes.io/default-container"] = "penstock-job"
        put(resource, object, kind)

    monkeypatch.setattr(cluster, "put", with_sidecar)
    lines: list[str] = []
    place = driver.launch(exam.job(ENDS))
    ended = within(20, lambda: driver.wait(place, 10, lines.append))
    assert (ended.code, lines, ended.lines) == (3, ["one", "two"], ("one", "two"))


# --- what is launched ------------------------------------------------------------------------------------------------


def test_a_run_is_launched_once_though_its_name_has_changed(driver: KubernetesDriver, cluster: Cluster) -> None:
    job = exam.job(ENDS)
    assert driver.launch(job) == driver.launch(msgspec.structs.replace(job, name="renamed"))
    assert len(cluster.all("jobs")) == 1


def test_no_manifest_has_a_run_run_twice() -> None:
    own = {
        "backoffLimit": 6, "completions": 3, "parallelism": 2, "podFailurePolicy": {"rules": []},
        "template": {"spec": {"restartPolicy": "OnFailure", "containers": [{"name": "x", "image": "y"}]}},
    }  # fmt: skip
    made = manifest_of(changed(exam.job(ENDS), spec=own), "default")["spec"]
    assert (made["backoffLimit"], made["completions"], made["parallelism"]) == (0, 1, 1)
    assert made["template"]["spec"]["restartPolicy"] == "Never"
    assert "podFailurePolicy" not in made
    assert own["backoffLimit"] == 6


def test_a_templates_environment_may_be_a_mapping_and_a_runs_own_goes_before_it() -> None:
    """As in manifests that were written for Prefect."""
    job = exam.job(ENDS)
    container = {"image": "y", "env": {"A": "1", "EXAM": "template's", "GONE": None}}
    made = manifest_of(changed(job, spec={"template": {"spec": {"containers": [container]}}}), "default")
    env = {each["name"]: each["value"] for each in made["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env == {"A": "1", **job.env}


def test_a_manifests_own_labels_are_made_to_fit(driver: KubernetesDriver, cluster: Cluster) -> None:
    job = exam.job(ENDS)
    job.configuration["job_manifest"]["metadata"]["labels"] = {"Team A/own er": "x y", "/": "z", "n": "ü" * 80}
    driver.launch(job)
    labels = cluster.all("jobs")[0]["metadata"]["labels"]
    assert (labels["team-a/own-er"], labels["n"]) == ("x-y", "")
    assert labels_of({"a..b/c": 1, "": "x", "k" * 99: "v", "none": None}) == {"a.b/c": "1", "k" * 63: "v"}


def test_where_no_namespace_is_named_it_is_the_kubeconfigs(driver: KubernetesDriver, cluster: Cluster) -> None:
    text = cluster.kubeconfig.read_text().replace("cluster: test", "cluster: test\n    namespace: team-a")
    cluster.kubeconfig.write_text(text)
    assert driver.launch(exam.job(ENDS)).id.startswith("team-a:")


# --- what pods say ---------------------------------------------------------------------------------------------------


def pod(spec: Any = None, metadata: Any = None, **status: Any) -> Pod:
    spec = {"containers": [{"name": "job", "image": "python:7"}], **(spec or {})}
    return Pod({"metadata": {"name": "p", **(metadata or {})}, "spec": spec, "status": status})


def ended_with(**how: Any) -> Any:
    return {"containerStatuses": [{"name": "job", "state": {"terminated": how}}]}


def test_what_could_not_be_started_was_not_started_in_1970() -> None:
    at = pod(**ended_with(exitCode=128, reason="StartError", startedAt="1970-01-01T00:00:00Z", message="no such file"))
    assert (at.started, explained_pod(at)) == (None, "no such file")


def test_the_limit_of_memory_is_named() -> None:
    limited = {"containers": [{"name": "job", "image": "x", "resources": {"limits": {"memory": "64Mi"}}}]}
    assert explained_pod(pod(limited, **ended_with(exitCode=137, reason="OOMKilled"))) == (
        "killed by the kernel: out of memory (its limit is 64Mi)"
    )


def test_a_pod_that_was_deleted_says_so() -> None:
    deleted = pod(metadata={"deletionTimestamp": "2026-11-26T10:00:00Z"}, **ended_with(exitCode=143, reason="Error"))
    assert explained_pod(deleted) == "killed by SIGTERM: its pod was deleted"


def test_an_init_container_that_failed_is_named() -> None:
    first = [{"name": "clone", "state": {"terminated": {"exitCode": 2}}}]
    failed = pod(phase="Failed", initContainerStatuses=first)
    assert (failed.has_ended, explained_pod(failed)) == (True, "its init container 'clone' ended with code 2")
