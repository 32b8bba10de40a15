"""The version of Prefect whose vocabulary this is, for code that asks; with our own, which says whose it really is."""

from .. import __version__ as ours
from . import environment

__version__ = f"{'2.20.0' if environment.version() == '2' else '3.4.0'}+penstock.{ours}"
