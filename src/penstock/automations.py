"""Automations: when something happens, something is done by itself."""

from .domain.automations import (
    Automation,
    CancelRun,
    Happened,
    Notify,
    PauseDeployment,
    ResumeDeployment,
    RunDeployment,
    RunLasts,
    RunState,
    WorkerGone,
)
from .domain.events import EventMatch
from .flows.automating import (
    delete_automation,
    pause_automation,
    read_automation,
    read_automations,
    resume_automation,
    save_automation,
)

__all__ = [
    "Automation",
    "CancelRun",
    "EventMatch",
    "Happened",
    "Notify",
    "PauseDeployment",
    "ResumeDeployment",
    "RunDeployment",
    "RunLasts",
    "RunState",
    "WorkerGone",
    "delete_automation",
    "pause_automation",
    "read_automation",
    "read_automations",
    "resume_automation",
    "save_automation",
]
