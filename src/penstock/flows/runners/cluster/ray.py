"""Tasks on Ray."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ....domain.errors import ConfigurationError, InfrastructureNotAvailable
from .host import host
from .runner import ClusterTaskRunner


class RayTaskRunner(ClusterTaskRunner):
    """Runs submitted tasks on a Ray cluster: the one at `address` (`auto`, or the head's), or one that is begun for the
    flow run by `ray.init(**init_kwargs)`; where the program is connected to one already, that one.

    All else is as for `DaskTaskRunner`. Needs `pip install 'penstock[ray]'`.

    Example::

        @flow(task_runner=RayTaskRunner(init_kwargs={"num_cpus": 8}))
        def crunch(files: list[str]) -> list[int]:
            return count_words.map(files).result()
    """

    def __init__(self, address: str | None = None, init_kwargs: dict[str, Any] | None = None) -> None:
        super().__init__()
        self._options: dict[str, Any] = {"address": address, "init_kwargs": init_kwargs}

    def duplicate(self) -> RayTaskRunner:
        return type(self)(**self._options)

    def _connect(self) -> RayCluster:
        return RayCluster(**self._options)

    def __reduce__(self) -> Any:
        return type(self), (self._options["address"], self._options["init_kwargs"])

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._options == self._options

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._options.items() if value is not None)
        return f"{type(self).__name__}({given})"


class RayCluster:
    """The program's connection to Ray, and whether it was made here."""

    def __init__(self, address: str | None, init_kwargs: dict[str, Any] | None) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigurationError(
                f"RayTaskRunner needs the package ray ({error}): pip install 'penstock[ray]'."
            ) from None
        self._ray: Any = ray
        self._own = False
        if not ray.is_initialized():
            usual = {} if address else {"include_dashboard": False, "log_to_driver": False}
            try:
                ray.init(address=address, **{**usual, "configure_logging": False, **(init_kwargs or {})})
            except Exception as error:
                where = address or "begun for the flow run"
                raise InfrastructureNotAvailable(f"The Ray cluster ({where}) is not there: {error}") from error
            self._own = True
        # The first of two is there when the call is over; asking for it does not bring the value here.
        remote: Any = ray.remote(num_returns=2, max_retries=0)
        self._host: Any = remote(_host)

    @property
    def peer(self) -> str:
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        here = self._ray.util.get_node_ip_address()
        others = [node["NodeManagerAddress"] for node in nodes if node["NodeManagerAddress"] != here]
        return str(others[0]) if others else "127.0.0.1"

    def submit(self, name: str, lease: bytes, values: Sequence[Any], failed: Callable[[str], None]) -> _Submitted:
        over, value = self._host.options(name=name).remote(lease, *values)
        over.future().add_done_callback(lambda done: _tell(done, failed))
        return _Submitted(self._ray, over, value)

    def fetch(self, handle: Any) -> bytes:
        data: bytes = self._ray.get(handle)
        return data

    def close(self) -> None:
        if self._own:
            self._ray.shutdown()


def _host(lease: bytes, *values: bytes) -> tuple[bool, bytes]:
    return True, host(lease, *values)


class _Submitted:
    def __init__(self, ray: Any, over: Any, value: Any) -> None:
        self._ray, self._over, self.value = ray, over, value

    def cancel(self) -> None:
        self._ray.cancel(self._over, force=False)


def _tell(done: Any, failed: Callable[[str], None]) -> None:
    error = done.exception()
    if error is not None:
        failed(str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__)
