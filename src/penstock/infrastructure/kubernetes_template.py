"""The base job template of Kubernetes jobs."""

from __future__ import annotations

from typing import Any

from .template_fields import IMAGE, IMAGE_PULL_POLICY, TEXTS, common, shown

KUBERNETES_TEMPLATE: dict[str, Any] = {
    "job_configuration": {
        "command": "{{ command }}",
        "env": "{{ env }}",
        "labels": "{{ labels }}",
        "name": "{{ name }}",
        "namespace": "{{ namespace }}",
        "kubeconfig": "{{ kubeconfig }}",
        "context": "{{ context }}",
        "pod_watch_timeout_seconds": "{{ pod_watch_timeout_seconds }}",
        "stream_output": "{{ stream_output }}",
        "job_manifest": {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {},
            "spec": {
                "backoffLimit": 0,
                "ttlSecondsAfterFinished": "{{ finished_job_ttl }}",
                "activeDeadlineSeconds": "{{ job_watch_timeout_seconds }}",
                "template": {
                    "spec": {
                        # A first process has no default for SIGTERM, and would not be ended by it; so it is none.
                        "shareProcessNamespace": True,
                        "restartPolicy": "Never",
                        "serviceAccountName": "{{ service_account_name }}",
                        "terminationGracePeriodSeconds": "{{ grace_seconds }}",
                        "containers": [
                            {
                                "name": "penstock-job",
                                "image": "{{ image }}",
                                "imagePullPolicy": "{{ image_pull_policy }}",
                                "resources": {"requests": "{{ requests }}", "limits": "{{ limits }}"},
                            }
                        ],
                    }
                },
            },
        },
    },
    "variables": {
        "type": "object",
        "required": ["image"],
        "properties": {
            **common(env="the container", labels="Labels of the job and its pod."),
            "namespace": {"type": "string", "description": "The namespace of the job; none: the worker's own."},
            "image": IMAGE,
            "image_pull_policy": IMAGE_PULL_POLICY,
            "service_account_name": {"type": "string", "description": "The service account of the pod."},
            "grace_seconds": {
                "type": "integer",
                "default": 30,
                "description": "The pod's own grace, for deletions by others; a cancellation brings its own.",
            },
            "requests": {**TEXTS, "description": 'What the pod is given at least: {"cpu": "500m", "memory": "1Gi"}.'},
            "limits": {**TEXTS, "description": "What the pod is given at most."},
            "finished_job_ttl": {
                "type": "integer",
                "description": "Seconds for which the job stays after its end; none: it is deleted when that was seen.",
            },
            "job_watch_timeout_seconds": {
                "type": "integer",
                "description": "Seconds that the job may take in all, the cluster ends it then; none: any number.",
            },
            "pod_watch_timeout_seconds": {
                "type": "integer",
                "description": "Seconds that the pod has to begin; none: as long as it takes.",
            },
            "kubeconfig": {
                "type": "string",
                "description": "A kubeconfig on the worker's machine; none: the cluster it is in, or its user's.",
            },
            "context": {"type": "string", "description": "The context of the kubeconfig; none: its current one."},
            "stream_output": shown("the pod writes"),
        },
    },
}
