"""The settings of one moment, all resolved: a frozen object with one typed attribute a setting.

Each attribute is the setting's name in lower case without its prefix; a test keeps this list equal to the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from penstock.settings.kinds import written
from penstock.settings.setting import DEFAULT, DERIVED, Setting, attribute_of


class Settings:
    """Every setting's value and where it came from. Cannot be changed; `temporary_settings` gives another one."""

    home: Path
    profile: str | None
    profiles_path: Path
    database_path: Path
    database_url: str | None
    database_direct_url: str | None
    api_url: str | None
    api_key: str | None
    api_auth_string: str | None
    api_patience_seconds: float
    encryption_key: str | None
    ui_url: str | None
    server_api_host: str
    server_api_port: int
    server_allowed_hosts: tuple[str, ...]
    server_body_limit: int
    server_sign_in: bool | None
    server_allow_anonymous: bool
    server_trusted_proxies: tuple[str, ...]
    logging_level: str
    logging_log_prints: bool
    logging_extra_loggers: tuple[str, ...]
    logging_colors: bool
    logging_to_console: bool
    logging_console_level: str | None
    logging_console_format: str
    logging_quiet: bool
    logging_capture: str
    logging_stderr_level: str
    logging_mask_patterns: tuple[str, ...]
    logging_collapse_above: int
    logging_max_line_bytes: int
    results_persist_by_default: bool
    results_default_serializer: str
    results_inline_limit: int
    local_storage_path: Path
    flows_default_retries: int
    flows_default_retry_delay_seconds: float
    flows_fail_on_failed_tasks: bool
    flows_return_states: bool
    prefect_alias: str | None
    tasks_default_retries: int
    tasks_default_retry_delay_seconds: float
    tasks_refresh_cache: bool
    tasks_disable_caching: bool
    tasks_default_persist_result: bool | None
    task_runner_thread_pool_max_workers: int | None
    task_runner_process_pool_max_workers: int | None
    stop_grace_seconds: float
    hooks_timeout_seconds: float
    stop_watchdog: bool
    stop_kill: bool | None
    retention_runs_days: float | None
    retention_logs_days: float | None
    retention_events_days: float | None
    retention_artifacts_days: float | None
    retention_audit_days: float | None
    journal_interval_seconds: float
    journal_limit: int
    telemetry_traces: bool

    _active_profile: str
    _sources: Mapping[str, str]

    def __init__(self, values: Mapping[str, Any], sources: Mapping[str, str], active_profile: str) -> None:
        """`values` and `sources` are keyed by the settings' full names, in the table's order."""
        self.__dict__.update({attribute_of(name): value for name, value in values.items()})
        self.__dict__.update(_sources=dict(sources), _active_profile=active_profile)

    @property
    def active_profile(self) -> str:
        """The name of the profile in use, also when PENSTOCK_PROFILE does not choose one."""
        return self._active_profile

    def source(self, setting: Setting[Any] | str) -> str:
        """Where a setting's value came from: `environment`, a file's path, `profile 'x'`, `default`, ..."""
        return self._sources[self._name(setting)]

    def value(self, setting: Setting[Any] | str) -> Any:
        """A setting's value, by the setting or its name in either form."""
        return self.__dict__[attribute_of(self._name(setting))]

    def items(self) -> Iterator[tuple[str, Any]]:
        """Full name and value of every setting, in the table's order."""
        return ((name, self.__dict__[attribute_of(name)]) for name in self._sources)

    def to_environment(self) -> dict[str, str]:
        """The environment variables that make another process see these values; defaults are left out."""
        return {
            name: written(value)
            for name, value in self.items()
            if self._sources[name] != DEFAULT and not self._sources[name].startswith(DERIVED)
        }

    def _name(self, setting: Setting[Any] | str) -> str:
        name = setting if isinstance(setting, str) else setting.name
        if name in self._sources:
            return name
        full = f"PENSTOCK_{name.upper()}"
        if full in self._sources:
            return full
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"Settings cannot be changed: use temporary_settings to override {name!r}.")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"Settings cannot be changed: use temporary_settings to override {name!r}.")

    def __repr__(self) -> str:
        given = sum(source != DEFAULT for source in self._sources.values())
        return f"<Settings profile={self._active_profile!r} home={str(self.home)!r} given={given}>"
