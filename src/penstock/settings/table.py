"""Every setting there is, as data: name, kind, default, and one line that says what it does.

To add one, add it here and its attribute to `values.Settings`, and re-export it in the package; tests keep the three
equal. A path that begins with `$PENSTOCK_HOME` follows PENSTOCK_HOME.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.domain.errors import ConfigurationError
from penstock.settings.kinds import (
    BOOLEAN,
    CAPTURE,
    CONSOLE,
    COUNT,
    DAYS,
    LEVEL,
    NAMES,
    PATH,
    PATTERNS,
    PORT,
    POSITIVE,
    RULES,
    SECONDS,
    TEXT,
    URL,
    optional,
)
from penstock.settings.setting import PREFIX, Setting

PENSTOCK_HOME = Setting("PENSTOCK_HOME", PATH, Path("~/.penstock"), "The folder that Penstock keeps its files in.")
PENSTOCK_PROFILE = Setting(
    "PENSTOCK_PROFILE", optional(TEXT), None, "The profile to use, instead of the active one of the profiles file."
)
PENSTOCK_PROFILES_PATH = Setting(
    "PENSTOCK_PROFILES_PATH", PATH, Path("$PENSTOCK_HOME/profiles.toml"), "The file that holds the profiles."
)
PENSTOCK_DATABASE_PATH = Setting(
    "PENSTOCK_DATABASE_PATH", PATH, Path("$PENSTOCK_HOME/penstock.db"), "The SQLite file of embedded runs."
)
PENSTOCK_DATABASE_URL = Setting(
    "PENSTOCK_DATABASE_URL",
    optional(TEXT),
    None,
    "The server's database, as postgresql://user:password@host/database; none: the SQLite file.",
    secret=True,
)
PENSTOCK_DATABASE_DIRECT_URL = Setting(
    "PENSTOCK_DATABASE_DIRECT_URL",
    optional(TEXT),
    None,
    "Where PENSTOCK_DATABASE_URL is a pooler's (PgBouncer): the same database, past it.",
    secret=True,
)
PENSTOCK_API_URL = Setting(
    "PENSTOCK_API_URL", optional(URL), None, "The server's API. Without it, runs are recorded in the database file."
)
PENSTOCK_API_KEY = Setting("PENSTOCK_API_KEY", optional(TEXT), None, "The key sent to the server's API.", secret=True)
PENSTOCK_API_AUTH_STRING = Setting(
    "PENSTOCK_API_AUTH_STRING",
    optional(TEXT),
    None,
    "user:password that is sent to the server's API; and, for a server, what it accepts.",
    secret=True,
)
PENSTOCK_API_PATIENCE_SECONDS = Setting(
    "PENSTOCK_API_PATIENCE_SECONDS",
    SECONDS,
    300.0,
    "How long a run that must ask the server something waits while it is away; reports are kept for any time.",
)
PENSTOCK_ENCRYPTION_KEY = Setting(
    "PENSTOCK_ENCRYPTION_KEY",
    optional(TEXT),
    None,
    "The key of secrets (several, separated by commas: the first encrypts); none: that in secret.key of PENSTOCK_HOME.",
    secret=True,
)
PENSTOCK_UI_URL = Setting(
    "PENSTOCK_UI_URL", optional(URL), None, "The server's UI. When not set, PENSTOCK_API_URL without its /api."
)

PENSTOCK_SERVER_API_HOST = Setting(
    "PENSTOCK_SERVER_API_HOST", TEXT, "127.0.0.1", "The address at which `penstock server start` listens."
)
PENSTOCK_SERVER_API_PORT = Setting(
    "PENSTOCK_SERVER_API_PORT", PORT, 4200, "The port at which the server listens; 0: one that is free."
)
PENSTOCK_SERVER_ALLOWED_HOSTS = Setting(
    "PENSTOCK_SERVER_ALLOWED_HOSTS",
    NAMES,
    (),
    "Names under which the server may be asked, or *; none: those of this machine at a loopback address, else any.",
)
PENSTOCK_SERVER_BODY_LIMIT = Setting(
    "PENSTOCK_SERVER_BODY_LIMIT", POSITIVE, 1_000_000, "How many bytes a request to the server's REST API may have."
)
PENSTOCK_SERVER_SIGN_IN = Setting(
    "PENSTOCK_SERVER_SIGN_IN",
    optional(BOOLEAN),
    None,
    "Whether a server wants to know who asks; none: as soon as there was a user, a key or PENSTOCK_API_AUTH_STRING.",
)
PENSTOCK_SERVER_ALLOW_ANONYMOUS = Setting(
    "PENSTOCK_SERVER_ALLOW_ANONYMOUS",
    BOOLEAN,
    False,
    "Whether a server that others can reach may start while nobody has to sign in.",
)
PENSTOCK_SERVER_TRUSTED_PROXIES = Setting(
    "PENSTOCK_SERVER_TRUSTED_PROXIES",
    NAMES,
    ("127.0.0.1", "::1"),
    "Addresses of proxies whose X-Forwarded-For and -Proto a server believes.",
)

PENSTOCK_LOGGING_LEVEL = Setting("PENSTOCK_LOGGING_LEVEL", LEVEL, "INFO", "The lowest level of log lines to keep.")
PENSTOCK_LOGGING_LOG_PRINTS = Setting(
    "PENSTOCK_LOGGING_LOG_PRINTS", BOOLEAN, False, "Whether flows and tasks log what they print, unless they say."
)
PENSTOCK_LOGGING_EXTRA_LOGGERS = Setting(
    "PENSTOCK_LOGGING_EXTRA_LOGGERS", NAMES, (), "Other loggers whose lines go to the run's log."
)
PENSTOCK_LOGGING_COLORS = Setting(
    "PENSTOCK_LOGGING_COLORS", BOOLEAN, True, "Whether log lines in a terminal are coloured."
)
PENSTOCK_LOGGING_TO_CONSOLE = Setting(
    "PENSTOCK_LOGGING_TO_CONSOLE",
    BOOLEAN,
    True,
    "Whether log lines of engine and runs are written to the terminal.",
)
PENSTOCK_LOGGING_CONSOLE_LEVEL = Setting(
    "PENSTOCK_LOGGING_CONSOLE_LEVEL",
    optional(LEVEL),
    None,
    "The lowest level of log lines in the terminal; none: that of PENSTOCK_LOGGING_LEVEL.",
)
PENSTOCK_LOGGING_CONSOLE_FORMAT = Setting(
    "PENSTOCK_LOGGING_CONSOLE_FORMAT",
    CONSOLE,
    "text",
    "How log lines look in the terminal: text for people, or a JSON object a line for machines.",
)
PENSTOCK_LOGGING_QUIET = Setting(
    "PENSTOCK_LOGGING_QUIET",
    BOOLEAN,
    False,
    "Whether the terminal shows what code prints as it was printed, and of log lines only warnings and errors.",
)
PENSTOCK_LOGGING_CAPTURE = Setting(
    "PENSTOCK_LOGGING_CAPTURE",
    CAPTURE,
    "prints",
    "What log_prints takes: what Python code prints, or also all that programs and native code write.",
)
PENSTOCK_LOGGING_STDERR_LEVEL = Setting(
    "PENSTOCK_LOGGING_STDERR_LEVEL", LEVEL, "INFO", "The level of captured lines that were written to stderr."
)
PENSTOCK_LOGGING_MASK_PATTERNS = Setting(
    "PENSTOCK_LOGGING_MASK_PATTERNS",
    PATTERNS,
    (),
    "Regular expressions; what fits one is masked before anything is stored. One a line, or a list in TOML or JSON.",
)
PENSTOCK_LOGGING_COLLAPSE_ABOVE = Setting(
    "PENSTOCK_LOGGING_COLLAPSE_ABOVE",
    POSITIVE,
    100,
    "Of a map of more items than this a terminal shows how far it is, instead of two lines an item.",
)
PENSTOCK_LOGGING_MAX_LINE_BYTES = Setting(
    "PENSTOCK_LOGGING_MAX_LINE_BYTES", POSITIVE, 1_000_000, "Longer log lines are cut, with a marker where."
)

PENSTOCK_RESULTS_PERSIST_BY_DEFAULT = Setting(
    "PENSTOCK_RESULTS_PERSIST_BY_DEFAULT", BOOLEAN, False, "Whether results are kept, unless flow or task say."
)
PENSTOCK_RESULTS_DEFAULT_SERIALIZER = Setting(
    "PENSTOCK_RESULTS_DEFAULT_SERIALIZER", TEXT, "pickle", "How results become bytes, unless flow or task say."
)
PENSTOCK_RESULTS_INLINE_LIMIT = Setting(
    "PENSTOCK_RESULTS_INLINE_LIMIT", COUNT, 16_384, "Results up to this many bytes are kept inside the record."
)
PENSTOCK_LOCAL_STORAGE_PATH = Setting(
    "PENSTOCK_LOCAL_STORAGE_PATH",
    PATH,
    Path("$PENSTOCK_HOME/storage"),
    "The folder of results too large for the record.",
)

PENSTOCK_FLOWS_DEFAULT_RETRIES = Setting(
    "PENSTOCK_FLOWS_DEFAULT_RETRIES", COUNT, 0, "How often a failed flow is retried, unless it says."
)
PENSTOCK_FLOWS_DEFAULT_RETRY_DELAY_SECONDS = Setting(
    "PENSTOCK_FLOWS_DEFAULT_RETRY_DELAY_SECONDS", SECONDS, 0.0, "The wait before a flow's retry, unless it says."
)
PENSTOCK_FLOWS_FAIL_ON_FAILED_TASKS = Setting(
    "PENSTOCK_FLOWS_FAIL_ON_FAILED_TASKS",
    BOOLEAN,
    False,
    "The rule of Prefect 2: a flow that returns None is Failed when any of its tasks failed.",
)
PENSTOCK_FLOWS_RETURN_STATES = Setting(
    "PENSTOCK_FLOWS_RETURN_STATES",
    BOOLEAN,
    False,
    "A flow that returns futures or states gives its caller states, as Prefect does; otherwise their values.",
)
PENSTOCK_PREFECT_ALIAS = Setting(
    "PENSTOCK_PREFECT_ALIAS",
    optional(RULES),
    None,
    "In this program and those that it starts, `import prefect` is Penstock, with the rules of Prefect 2 or 3. Of the "
    "environment only.",
)
PENSTOCK_TASKS_DEFAULT_RETRIES = Setting(
    "PENSTOCK_TASKS_DEFAULT_RETRIES", COUNT, 0, "How often a failed task is retried, unless it says."
)
PENSTOCK_TASKS_DEFAULT_RETRY_DELAY_SECONDS = Setting(
    "PENSTOCK_TASKS_DEFAULT_RETRY_DELAY_SECONDS", SECONDS, 0.0, "The wait before a task's retry, unless it says."
)
PENSTOCK_TASKS_REFRESH_CACHE = Setting(
    "PENSTOCK_TASKS_REFRESH_CACHE", BOOLEAN, False, "Whether tasks run again and renew their cached results."
)
PENSTOCK_TASKS_DISABLE_CACHING = Setting(
    "PENSTOCK_TASKS_DISABLE_CACHING", BOOLEAN, False, "Whether tasks neither read nor write cached results."
)
PENSTOCK_TASKS_DEFAULT_PERSIST_RESULT = Setting(
    "PENSTOCK_TASKS_DEFAULT_PERSIST_RESULT", optional(BOOLEAN), None, "Whether tasks keep results, unless they say."
)

PENSTOCK_TASK_RUNNER_THREAD_POOL_MAX_WORKERS = Setting(
    "PENSTOCK_TASK_RUNNER_THREAD_POOL_MAX_WORKERS", optional(POSITIVE), None, "How many threads run submitted tasks."
)
PENSTOCK_TASK_RUNNER_PROCESS_POOL_MAX_WORKERS = Setting(
    "PENSTOCK_TASK_RUNNER_PROCESS_POOL_MAX_WORKERS", optional(POSITIVE), None, "How many processes run submitted tasks."
)

PENSTOCK_STOP_GRACE_SECONDS = Setting(
    "PENSTOCK_STOP_GRACE_SECONDS", SECONDS, 30.0, "How long code that was told to stop has before it is killed."
)
PENSTOCK_HOOKS_TIMEOUT_SECONDS = Setting(
    "PENSTOCK_HOOKS_TIMEOUT_SECONDS", SECONDS, 60.0, "How long a hook may take before it is stopped; 0: any time."
)
PENSTOCK_STOP_WATCHDOG = Setting(
    "PENSTOCK_STOP_WATCHDOG",
    BOOLEAN,
    True,
    "Whether a small process beside a program that runs flows sees to limits that the program itself cannot keep.",
)
PENSTOCK_STOP_KILL = Setting(
    "PENSTOCK_STOP_KILL",
    optional(BOOLEAN),
    None,
    "Whether a program is killed when a run in it does not stop; none: a script is, a notebook or a server is not.",
)
PENSTOCK_RETENTION_RUNS_DAYS = Setting(
    "PENSTOCK_RETENTION_RUNS_DAYS", optional(DAYS), 90.0, "Runs are kept so long after their end; none: for ever."
)
PENSTOCK_RETENTION_LOGS_DAYS = Setting(
    "PENSTOCK_RETENTION_LOGS_DAYS", optional(DAYS), 30.0, "Runs' logs are kept so long after their end; none: for ever."
)
PENSTOCK_RETENTION_EVENTS_DAYS = Setting(
    "PENSTOCK_RETENTION_EVENTS_DAYS", optional(DAYS), 30.0, "Events are kept so long; none: for ever."
)
PENSTOCK_RETENTION_ARTIFACTS_DAYS = Setting(
    "PENSTOCK_RETENTION_ARTIFACTS_DAYS",
    optional(DAYS),
    90.0,
    "Artifacts are kept so long after their last change; none: for ever.",
)
PENSTOCK_RETENTION_AUDIT_DAYS = Setting(
    "PENSTOCK_RETENTION_AUDIT_DAYS", optional(DAYS), 365.0, "Lines of the audit log are kept so long; none: for ever."
)
PENSTOCK_JOURNAL_INTERVAL_SECONDS = Setting(
    "PENSTOCK_JOURNAL_INTERVAL_SECONDS", SECONDS, 0.01, "How long the journal gathers facts before it commits them."
)
PENSTOCK_JOURNAL_LIMIT = Setting(
    "PENSTOCK_JOURNAL_LIMIT", POSITIVE, 20_000, "How many facts may wait in the journal before runs wait for it."
)

PENSTOCK_TELEMETRY_TRACES = Setting(
    "PENSTOCK_TELEMETRY_TRACES",
    BOOLEAN,
    False,
    "Whether runs are traced by OpenTelemetry (extra otel); where to, its own OTEL_* variables say.",
)

SETTINGS: dict[str, Setting[Any]] = {it.name: it for it in list(globals().values()) if isinstance(it, Setting)}

# A profile is found with these, or they are asked before it is read; so it cannot hold them.
NOT_IN_PROFILES = frozenset(
    {PENSTOCK_HOME.name, PENSTOCK_PROFILE.name, PENSTOCK_PROFILES_PATH.name, PENSTOCK_PREFECT_ALIAS.name}
)


def full_name(written: str) -> str:
    """The full form of a name as somebody wrote it: `api_url`, `api.url` and `PENSTOCK_API_URL` are one."""
    if written.startswith(PREFIX):
        return written
    return PREFIX + written.upper().replace(".", "_").replace("-", "_")


def named(setting: Setting[Any] | str) -> Setting[Any]:
    """The setting of that name, in either form; ConfigurationError when there is none."""
    if isinstance(setting, Setting):
        return setting
    found = SETTINGS.get(full_name(setting))
    if found is None:
        raise ConfigurationError(f"Unknown setting name {setting!r}.{suggestion(setting)}")
    return found


def suggestion(written: str) -> str:
    """The second sentence of an error about an unknown name: what was meant, or where the names are listed."""
    from difflib import get_close_matches

    # Without the prefix, which makes every name look like every short one.
    near = get_close_matches(
        full_name(written).upper().removeprefix(PREFIX), [name.removeprefix(PREFIX) for name in SETTINGS], 1, 0.7
    )
    if near:
        return f" Did you mean {PREFIX + near[0]!r}?"
    return " `penstock config view --show-defaults` lists the settings there are."
