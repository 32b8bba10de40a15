"""Every error Penstock raises, in one tree.

Law: an error has a `code` (stable, for programs), a sentence that names the thing, and says what to do. Nothing here
knows where an error is shown: the CLI prints the sentence, the API maps the code to a status.

::

    PenstockError
    ├── ConfigurationError            settings, profiles
    ├── NameNotOffered (ImportError)  code of Prefect's asks for what is not here
    ├── DefinitionError (ValueError)  a decorator was given something it cannot use
    │   └── ReservedArgumentError (TypeError)
    ├── ParameterError
    │   ├── ParameterBindError (TypeError)    missing, extra or doubled arguments
    │   ├── ParameterTypeError (ValueError)   wrong types, one line a parameter
    │   └── SignatureMismatchError (TypeError)
    ├── MappingError (ValueError)
    │   ├── MappingLengthMismatch
    │   └── MappingMissingIterable
    ├── MissingContextError (RuntimeError)
    ├── RunError                      a run did not end well, and its value was asked for
    │   ├── FailedRun, CrashedRun, CancelledRun, PausedRun, UnfinishedRun, MissingResult, UpstreamTaskError
    │   └── RunTimeoutError (TimeoutError): FlowRunTimeoutError, TaskRunTimeoutError
    ├── ResultError
    │   ├── SerializationError        a value cannot be stored
    │   └── HashError (ValueError)    inputs cannot make a cache key
    ├── RecordError                   the store
    │   ├── StoreUnavailableError     read-only, full, or not a folder
    │   ├── CorruptStoreError
    │   ├── SchemaVersionError        written by a newer Penstock
    │   ├── ServerUnavailableError    the server does not answer
    │   └── ServerRefusedError        the server does not take what this process reports
    ├── DecryptionError               no key at hand opens what is encrypted, or it is damaged
    ├── ObjectNotFound (LookupError)
    │   └── BlockNotFound (ValueError)
    ├── AmbiguousId (LookupError)
    ├── TransitionRefused             a rule said no
    ├── InvalidName (ValueError)      blocks and variables: a name they cannot have
    ├── NameTaken (ValueError)
    ├── UnstorableValue (ValueError)  a value they cannot hold
    ├── ConcurrencyError (ValueError) slots of a limit that cannot be had
    │   ├── ConcurrencySlotAcquisitionError (RuntimeError)
    │   └── AcquireConcurrencySlotTimeoutError (TimeoutError)
    ├── UnknownBlockType (LookupError)
    ├── UnreadableBlock (RuntimeError)  what was stored is not what its type wants
    └── ServerError                   a server's answers
        ├── BadRequest (ValueError)   what was asked is not understood
        ├── NotSignedIn, NotAllowed (PermissionError)
        ├── TooLarge, TooMuch         more than is taken, at all or at once
        └── VersionSkew               client and server are too far apart
"""

from __future__ import annotations

from uuid import UUID


class PenstockError(Exception):
    """The root of the tree: `except PenstockError` catches all that Penstock itself raises."""

    code = "penstock-error"


class ConfigurationError(PenstockError):
    """A setting, profile or settings file cannot be used as it is."""

    code = "configuration"


class DefinitionError(PenstockError, ValueError):
    """A flow or task was defined with an option it cannot have; raised where it was written."""

    code = "definition"


class ReservedArgumentError(DefinitionError, TypeError):
    """A flow or task function has a parameter with a name that calls need for themselves."""

    code = "reserved-argument"


class ParameterError(PenstockError):
    """The arguments of a call do not fit."""

    code = "parameter"


class ParameterBindError(ParameterError, TypeError):
    """Arguments are missing, unexpected or given twice."""

    code = "parameter-bind"


class ParameterTypeError(ParameterError, ValueError):
    """Arguments are not of the types that the flow's annotations ask for."""

    code = "parameter-type"


class SignatureMismatchError(ParameterError, TypeError):
    """Parameters given by name do not match the function's signature."""

    code = "signature-mismatch"


class MappingError(PenstockError, ValueError):
    """`.map` was called with arguments it cannot spread."""

    code = "mapping"


class MappingLengthMismatch(MappingError):
    """The iterables given to `.map` differ in length."""

    code = "mapping-length"


class MappingMissingIterable(MappingError):
    """`.map` was called without any iterable."""

    code = "mapping-iterable"


class MissingContextError(PenstockError, RuntimeError):
    """Something that needs a run was called outside one."""

    code = "missing-context"


class RunError(PenstockError):
    """A run's value was asked for, and there is none."""

    code = "run"


class FailedRun(RunError):
    """The run failed, and its own exception is not at hand."""

    code = "run-failed"


class CrashedRun(RunError):
    """The run's process ended before the run did. `task_run_id` is the task run's that says so of itself."""

    code = "run-crashed"
    task_run_id: UUID | None = None


class CancelledRun(RunError):
    """The run was cancelled."""

    code = "run-cancelled"


class PausedRun(RunError):
    """The run is paused."""

    code = "run-paused"


class RunSuspended(PausedRun):
    """The run is suspended: its code has been left, and is entered again when the run is resumed."""

    code = "run-suspended"


class FlowPauseTimeout(RunError, TimeoutError):
    """Nobody resumed the run before its pause was over."""

    code = "pause-timeout"


class ApprovalRejected(RunError):
    """Somebody rejected what a run had asked to be approved."""

    code = "approval-rejected"


class UnfinishedRun(RunError):
    """The run has not ended yet."""

    code = "run-unfinished"


class MissingResult(RunError):
    """The run completed, but its value was not kept."""

    code = "missing-result"


class UpstreamTaskError(RunError):
    """A task could not start because one that it needs did not complete."""

    code = "upstream"


class RunTimeoutError(RunError, TimeoutError):
    """A run exceeded its own `timeout_seconds`."""

    code = "run-timeout"


class FlowRunTimeoutError(RunTimeoutError):
    """A flow run exceeded its `timeout_seconds`."""

    code = "flow-run-timeout"


class TaskRunTimeoutError(RunTimeoutError):
    """A task run exceeded its `timeout_seconds`."""

    code = "task-run-timeout"


class ResultError(PenstockError):
    """A result cannot be written or read."""

    code = "result"


class SerializationError(ResultError):
    """A value cannot be turned into bytes, or back."""

    code = "serialization"


class HashError(ResultError, ValueError):
    """Inputs cannot be made into a cache key."""

    code = "hash"


class RecordError(PenstockError):
    """The record (the store) cannot be used."""

    code = "record"


class StoreUnavailableError(RecordError):
    """The store cannot be opened or written: read-only, full, or not where it should be."""

    code = "store-unavailable"


class CorruptStoreError(RecordError):
    """The store's file is damaged or is not a Penstock store."""

    code = "store-corrupt"


class SchemaVersionError(RecordError):
    """The store was written by a newer Penstock than this one."""

    code = "store-version"


class ServerUnavailableError(RecordError):
    """The server cannot be reached, or cannot reach its record, for now."""

    code = "server-unavailable"


class ServerRefusedError(RecordError):
    """The server does not take what this process reports: it has no right to, or speaks another protocol."""

    code = "server-refused"


class ServerError(PenstockError):
    """A server refused what it was asked."""

    code = "server"


class BadRequest(ServerError, ValueError):
    """What was asked cannot be understood: not JSON, wrong types, unknown fields."""

    code = "bad-request"


class KeyReused(BadRequest):
    """An Idempotency-Key was sent with another request before."""

    code = "key-reused"


class NotSignedIn(ServerError, PermissionError):
    """The server wants to know who asks: there is no key, or it is unknown, expired or revoked."""

    code = "not-signed-in"


class NotAllowed(ServerError, PermissionError):
    """Who asks may not do this."""

    code = "not-allowed"


class TooLarge(ServerError):
    """More was sent at once than the server takes."""

    code = "too-large"


class TooMuch(ServerError):
    """The server has too much to do, or this was tried too often: again in `retry_after` seconds."""

    code = "too-much"
    retry_after: float = 1.0


class VersionSkew(ServerError):
    """Client and server are of versions that do not understand each other."""

    code = "version-skew"


class DecryptionError(PenstockError):
    """Something encrypted cannot be read: its key is not at hand, or it was changed."""

    code = "decryption"


class ObjectNotFound(PenstockError, LookupError):
    """No such flow, run or other object."""

    code = "not-found"


class AmbiguousId(PenstockError, LookupError):
    """A short id that more than one object has."""

    code = "ambiguous-id"


class TransitionRefused(PenstockError):
    """A run may not go into the state that was proposed."""

    code = "transition-refused"


class NotPausedError(TransitionRefused):
    """A run was to be resumed that is not paused (any more)."""

    code = "not-paused"


class InputRefused(PenstockError, ValueError):
    """What a person gave to a run is not what it asked for. The run waits still."""

    code = "input-refused"


class AutomationError(PenstockError, ValueError):
    """An automation is none, or could never do what it is to do."""

    code = "automation-error"


class LinkRefused(PenstockError):
    """A link by which a pause is answered is none, was used, or is good no more."""

    code = "link-refused"


class SchemaError(PenstockError, ValueError):
    """A JSON schema is none, or refers to what is not there."""

    code = "schema"


class BlockNotFound(ObjectNotFound, ValueError):
    """No block of this type has this name."""

    code = "block-not-found"


class InvalidName(PenstockError, ValueError):
    """A block or variable cannot have this name."""

    code = "invalid-name"


class NameTaken(PenstockError, ValueError):
    """There is a block or variable of this name already."""

    code = "name-taken"


class UnstorableValue(PenstockError, ValueError):
    """A block or variable cannot hold this value."""

    code = "unstorable-value"


class ConcurrencyError(PenstockError, ValueError):
    """A concurrency limit cannot be as it is wanted, or slots of one can never be had."""

    code = "concurrency"


class ConcurrencySlotAcquisitionError(ConcurrencyError, RuntimeError):
    """Slots were not taken: there is no such limit (with `strict`), or they were tried for often enough."""

    code = "concurrency-slot"


class AcquireConcurrencySlotTimeoutError(ConcurrencyError, TimeoutError):
    """Slots were not free in time."""

    code = "concurrency-timeout"


class UnknownBlockType(PenstockError, LookupError):
    """This process knows no class for a type of blocks."""

    code = "unknown-block-type"


class UnreadableBlock(PenstockError, RuntimeError):
    """What is stored of a block is damaged, or not what its type wants now."""

    code = "unreadable-block"


class NotificationFailed(PenstockError, RuntimeError):
    """A message could not be delivered."""

    code = "notification"


class ScheduleError(PenstockError, ValueError):
    """A schedule cannot be as it is written; the message shows the place."""

    code = "schedule"


class DeploymentError(PenstockError, ValueError):
    """A deployment, or a file that describes some, cannot be as it is wanted."""

    code = "deployment"


class WorkPoolError(PenstockError, ValueError):
    """A work pool, a queue or a job template cannot be as it is wanted."""

    code = "work-pool"


class InfrastructureError(PenstockError, RuntimeError):
    """Something that runs are launched on could not do what it was asked."""

    code = "infrastructure"


class InfrastructureNotAvailable(InfrastructureError):
    """It cannot be reached now: no engine, no cluster, no rights."""

    code = "infrastructure-unavailable"


class InfrastructureRefused(InfrastructureError):
    """A job can never be launched as it is: no such image, no such command, a value of the wrong kind."""

    code = "infrastructure-refused"


class InfrastructureNotFound(InfrastructureError):
    """What was launched is not there (any more)."""

    code = "infrastructure-not-found"


class NameNotOffered(PenstockError, ImportError):
    """A name of Prefect's, used by code that runs unchanged, is not here."""

    code = "name-not-offered"


# Users import them from `penstock.exceptions`, so that is where tracebacks say they are.
for _each in list(globals().values()):
    if isinstance(_each, type) and issubclass(_each, PenstockError):
        _each.__module__ = "penstock.exceptions"
del _each
