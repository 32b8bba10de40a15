"""Blocks: typed configuration that is stored under names, its secrets encrypted.

Importing this room costs what pydantic costs; nobody else imports it. The kinds that come with Penstock are known as
soon as it is imported.
"""

from . import notifications as notifications
from .core import Block
from .system import JSON, DateTime, Secret, String

__all__ = ["JSON", "Block", "DateTime", "Secret", "String"]
