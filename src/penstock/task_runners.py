"""Where submitted tasks run."""

from .flows.runners.contract import TaskRunner
from .flows.runners.process import ProcessPoolTaskRunner
from .flows.runners.sequential import SequentialTaskRunner
from .flows.runners.thread import ThreadPoolTaskRunner

ConcurrentTaskRunner = ThreadPoolTaskRunner

__all__ = [
    "ConcurrentTaskRunner",
    "ProcessPoolTaskRunner",
    "SequentialTaskRunner",
    "TaskRunner",
    "ThreadPoolTaskRunner",
]
