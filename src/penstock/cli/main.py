"""`penstock`: the root command, the table of commands, and what an error looks like to a person.

A command's module is imported when the command is used, so `penstock --help` costs what click costs.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from penstock.domain.errors import PenstockError

# Name -> where the command is, and its line in the help. A plural is accepted for every name: `penstock flow-runs ls`.
COMMANDS: dict[str, tuple[str, str]] = {
    "agent": ("penstock.cli.worker:agent", "Start a worker under its older name."),
    "approval": ("penstock.cli.approval:approval", "View what waits for a decision, approve it, or reject it."),
    "automation": ("penstock.cli.automation:automation", "Have something done by itself when something happens."),
    "artifact": ("penstock.cli.artifact:artifact", "View what runs want people to see: texts, tables, links."),
    "auth": ("penstock.cli.auth:auth", "Manage users, API keys and signing in; read the audit log."),
    "block": ("penstock.cli.block:block", "Manage blocks: secrets and other stored configuration."),
    "completion": ("penstock.cli.completion:completion", "Print what a shell completes commands by."),
    "concurrency-limit": (
        "penstock.cli.concurrency_limit:concurrency_limit",
        "Manage limits on how many do something at once, or how often.",
    ),
    "config": ("penstock.cli.config:config", "View and set settings."),
    "deploy": ("penstock.cli.deploy:deploy", "Deploy flows, of penstock.yaml or of a file."),
    "deployment": ("penstock.cli.deployment:deployment", "View and run deployments."),
    "event": ("penstock.cli.event:event", "View and emit events."),
    "flow": ("penstock.cli.flow:flow", "View flows."),
    "flow-run": ("penstock.cli.flow_run:flow_run", "View and control flow runs."),
    "infrastructure": ("penstock.cli.worker:infrastructure", "View what runs are launched on."),
    "migrate": ("penstock.cli.migrate:migrate", "Rewrite code that was written for Prefect."),
    "profile": ("penstock.cli.profile:profile", "Select and manage profiles of settings."),
    "run": ("penstock.cli.run:run", "Run a script, also one that was written for Prefect."),
    "server": ("penstock.cli.server:server", "Start and manage a server."),
    "task-run": ("penstock.cli.task_run:task_run", "View task runs."),
    "variable": ("penstock.cli.variable:variable", "Manage variables."),
    "work-pool": ("penstock.cli.work_pool:work_pool", "Manage work pools."),
    "work-queue": ("penstock.cli.work_pool:work_queue", "Manage the queues of work pools."),
    "worker": ("penstock.cli.worker:worker", "Start and view workers, which run what is deployed."),
    "version": ("penstock.cli.version:version", "Show the version, and what else a bug report needs."),
}
# Other names that the field has for some.
ALIASES = {"gcl": "concurrency-limit", "global-concurrency-limit": "concurrency-limit"}

INTERRUPTED = 130
# What writing to a full disk, a broken device or a stream that is not for writing raises.
UNWRITABLE = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EBADF", "ENXIO") if hasattr(errno, name)
)
DEBUG_VARIABLE = "PENSTOCK_INTERNAL_DEBUG"


class LazyGroup(click.Group):
    """A group whose commands are named in a table and imported when they are used."""

    def __init__(self, *args: Any, table: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self.table})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for name in (cmd_name, cmd_name.removesuffix("s")):
            name = ALIASES.get(name, name)
            if name in self.table:
                module, _, attribute = self.table[name][0].partition(":")
                command: click.Command = getattr(import_module(module), attribute)
                return command
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the name of the table in the usage line where its plural was typed, and a hint."""
        try:
            typed, command, rest = super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not near:
                raise
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx) from error
        if typed is not None and typed not in self.table and typed.removesuffix("s") in self.table:
            typed = typed.removesuffix("s")
        return typed, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table's lines, without importing what they are about; and those of commands that are here already."""
        lines = {name: line for name, (_, line) in self.table.items()}
        lines |= {name: command.get_short_help_str(limit=100) for name, command in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(lines.items()))


class Root(LazyGroup):
    """The root: runs a command, and ends as a program should, whatever happened."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run with `args` (default: the process's) and exit: 0, 1 for an error, 2 for wrong usage, 130 for Ctrl-C."""
        if sys.stdout is None:  # closed before we began: the next file we opened would be in its place
            sys.exit(_failed(OSError(), "Standard output is closed; to see nothing, send it to /dev/null."))
        _fit_output()
        extra["standalone_mode"] = False
        try:
            try:
                code = super().main(_decoded(sys.argv[1:] if args is None else args), prog_name or "penstock", **extra)
            except SystemExit as end:
                code = end.code
            sys.stdout.flush()  # here, where a closed pipe can be handled; not at the interpreter's end
        except (click.Abort, KeyboardInterrupt) as abort:
            code = _aborted(abort)
        except click.ClickException as error:
            if sys.stderr is not None:
                error.show()
            code = error.exit_code
        except PenstockError as error:
            code = _failed(error, str(error) or type(error).__name__)
        except BrokenPipeError:
            code = _output_ended()
        except OSError as error:
            if error.errno not in UNWRITABLE or error.filename is not None:
                code = _unexpected(error)
            else:
                _output_ended()
                code = _failed(error, f"The output could not be written: {error.strerror}.")
        except Exception as error:  # the last wall: people get a sentence, and a way to see more
            code = _unexpected(error)
        sys.exit(code if isinstance(code, int) else 0)


def _decoded(arguments: Sequence[str]) -> list[str]:
    """The arguments as text. Raises `UsageError` for one that is not UTF-8: no name in the record is like that."""
    return [_text(place, argument) for place, argument in enumerate(arguments, start=1)]


def _text(place: int, argument: str) -> str:
    try:
        argument.encode()
    except UnicodeEncodeError:
        # What the locale's encoding could not decode: it may be UTF-8 in spite of the locale.
        raw = argument.encode("utf-8", "surrogateescape" if _is_escaped(argument) else "surrogatepass")
        try:
            return raw.decode()
        except UnicodeDecodeError:
            written = raw.decode("utf-8", "backslashreplace")
            raise click.UsageError(f"Argument {place} ('{written}') is not UTF-8 text.") from None
    return argument


def _is_escaped(argument: str) -> bool:
    """Whether every lone surrogate stands for a byte, as in what the system hands over."""
    return all("\udc80" <= mark <= "\udcff" for mark in argument if "\ud800" <= mark <= "\udfff")


def _fit_output() -> None:
    """Let every character be printed where the terminal's encoding is narrow: escaped rather than an error."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _aborted(abort: BaseException) -> int:
    """Ctrl-C says nothing more; a question answered with no says so."""
    if isinstance(abort, KeyboardInterrupt) or isinstance(abort.__cause__, KeyboardInterrupt):
        return INTERRUPTED
    click.echo("Aborted.", err=True)
    return 1


def _failed(error: BaseException, sentence: str, hint: str = "") -> int:
    if os.environ.get(DEBUG_VARIABLE, "").lower() not in ("", "0", "false", "no", "off"):
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    elif hint:
        sentence = f"{' '.join(sentence.split())} ({hint})"
    click.echo(f"Error: {sentence}", err=True)
    return 1


def _unexpected(error: BaseException) -> int:
    return _failed(error, f"{type(error).__name__}: {error}", f"Set {DEBUG_VARIABLE}=1 to see the traceback.")


def _output_ended() -> int:
    """The reader (`| head`) has seen enough, or the disk is full. What is still buffered goes nowhere, and quietly."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return 1


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from penstock.cli.version import penstock_version

        click.echo(penstock_version())
        ctx.exit()


@click.group(
    "penstock",
    cls=Root,
    table=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.option("--profile", "-p", metavar="NAME", help="Use this profile of settings for this command.")
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_show_version, help="Show the version."
)
@click.pass_context
def root(ctx: click.Context, profile: str | None) -> None:
    """Run, watch and control Penstock flows."""
    if profile is not None:
        _use_profile(ctx, profile)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def _use_profile(ctx: click.Context, profile: str) -> None:
    """Choose the profile for the whole process and for those it starts, and undo it when the command ends."""
    before = os.environ.get("PENSTOCK_PROFILE")
    from penstock.settings.resolve import profile_options

    os.environ["PENSTOCK_PROFILE"] = profile
    profile_options.append(profile)

    def restore() -> None:
        profile_options.remove(profile)
        if before is None:
            os.environ.pop("PENSTOCK_PROFILE", None)
        else:
            os.environ["PENSTOCK_PROFILE"] = before

    ctx.call_on_close(restore)


def main() -> NoReturn:
    """The entry point of the `penstock` script and of `python -m penstock`."""
    root.main()
