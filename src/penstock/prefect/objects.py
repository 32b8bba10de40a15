"""What clients read, under the names of Prefect's schemas."""

from ..domain.deployments import Deployment
from ..domain.logs import LogLine as Log
from ..domain.pools import WorkPool, WorkQueue
from ..domain.runs import FlowRun, TaskRun
from ..domain.states import State, StateType

__all__ = ["Deployment", "FlowRun", "Log", "State", "StateType", "TaskRun", "WorkPool", "WorkQueue"]
