"""Every error that Penstock raises; the tree is drawn in `penstock.domain.errors`."""

from .domain.errors import *  # noqa: F403
from .domain.filters import FilterError as FilterError
from .domain.ids import InvalidId as InvalidId
