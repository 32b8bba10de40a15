"""Only the import that every program begins with."""

from distributed import Client, LocalCluster

__all__ = ["Client", "LocalCluster"]
