"""`penstock block`: list, make, look into and delete blocks, and care for the key of their secrets."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import click

from penstock.cli import choosing, shown
from penstock.cli.output import JSON, is_terminal, output_option, print_fields, print_json, print_table, remark
from penstock.cli.record import ask, listed
from penstock.domain import names
from penstock.domain.blocks import parse_address
from penstock.domain.errors import BlockNotFound, NameTaken, UnreadableBlock, UnstorableValue
from penstock.domain.secret_forms import SHORTEST
from penstock.protocol import block_documents as blocks
from penstock.protocol.operation import Nothing

LONGEST_TYPED = 4095  # bytes of a line that Linux passes on from a terminal
LONGEST = 1 << 20  # bytes that are read from standard input: it may have no end
NONE = (
    "There are no blocks yet. To make the first: `penstock block create secret NAME`, or in Python "
    "Secret(value=...).save('name')."
)


@click.group()
def block() -> None:
    """Manage blocks: secrets and other stored configuration."""


@block.command()
@click.option("--type", "type_", metavar="TYPE", help="Only blocks of this type.")
@choosing.limit_option(100)
@output_option
def ls(type_: str | None, limit: int, output: str) -> None:
    """List blocks, by type and name."""
    documents = listed(
        blocks.FILTER_BLOCKS, lambda size, cursor: blocks.FilterBlocks(type=type_, limit=size, cursor=cursor), limit
    )
    if output == JSON:
        print_json([_head(document) for document in documents])
    elif documents:
        now = shown.now()
        rows = [
            (each.address, shown.relative(each.created, now), shown.relative(each.updated, now)) for each in documents
        ]
        print_table(("Block", "Created", "Updated"), rows)
    else:
        remark(NONE if type_ is None else "No blocks fit.")


@block.command()
@click.argument("address", metavar="TYPE/NAME")
@click.option("--show-secrets/--hide-secrets", default=False, help="Whether secrets are shown.")
@output_option
def inspect(address: str, show_secrets: bool, output: str) -> None:
    """Show a block and its fields."""
    type_, name = parse_address(address)
    document = ask(blocks.READ_BLOCK_BY_NAME, blocks.ReadBlock(type=type_, name=name, include_secrets=show_secrets))
    fields = document.fields()
    if output == JSON:
        print_json(_head(document) | {"data": fields})
        return
    print_fields(
        {
            "Block": document.address,
            "ID": document.id,
            "Created": shown.local(document.created),
            "Updated": shown.local(document.updated),
        }
    )
    click.echo("\nFields:")
    print_fields({f"  {shown.one_line(name)}": _text(value) for name, value in fields.items()})


@block.command()
@click.argument("type_", metavar="TYPE")
@click.argument("name")
@click.option("--json", "is_json", is_flag=True, help="The value is JSON, not text.")
@click.option("--overwrite", is_flag=True, help="Replace a block of this name.")
def create(type_: str, name: str, is_json: bool, overwrite: bool) -> None:
    """Make a block: of one value (a secret, a webhook's URL), or with --json of an object of its fields.

    The value is asked for; what is secret is not shown. In a pipe it is read from standard input: `penstock block
    create secret api-key < key.txt`. There is no option for it, since the shell's history and the list of processes
    would show it. The line end of a single line is not part of it; several lines are kept as they are.
    """
    import pydantic

    from penstock.blocks import core, secrets

    kind: Any = core.block_type(type_)
    field = _only_field(kind)
    if field is None and not is_json:
        raise click.UsageError(
            f"A block of the type {type_!r} has several fields ({', '.join(kind.model_fields)}): give them with "
            "--json, as an object on standard input."
        )
    hidden = field is None or secrets.is_secret(kind.model_fields[field].annotation)
    names.check(name, names.BLOCK)
    if not overwrite and _is_there(type_, name):
        raise NameTaken(f"There is a block '{type_}/{name}' already; `--overwrite` replaces it.")
    value = _read_value(hidden)
    try:
        made = kind(**_fields(value, is_json, type_, field))
    except pydantic.ValidationError as error:
        raise UnstorableValue(f"This is no value for a block of the type {type_!r}: {core.problems(error)}.") from None
    made.save(name, overwrite)
    if not all(map(secrets.mask_clear, secrets.found_in(made))):
        remark(
            f"What is blank or has less than {SHORTEST} characters (a part of this secret, or all of it) is encrypted, "
            "but not masked in logs: too much would be."
        )
    click.echo(f"Saved block '{type_}/{name}'.")


def _only_field(kind: Any) -> str | None:
    """The field that a block is made of, where it needs only one."""
    if "value" in kind.model_fields:
        return "value"
    needed = [name for name, field in kind.model_fields.items() if field.is_required()]
    return needed[0] if len(needed) == 1 else None


def _fields(value: str, is_json: bool, type_: str, field: str | None) -> dict[str, Any]:
    given = _parsed(value) if is_json or type_ == "json" else value
    if field == "value" or (field is not None and not isinstance(given, dict)):
        return {field: given}
    if not isinstance(given, dict):
        raise UnstorableValue("The fields of a block are a JSON object.")
    return given


def _is_there(type_: str, name: str) -> bool:
    """Also when it is damaged."""
    try:
        _check_exists(type_, name)
    except BlockNotFound:
        return False
    return True


def _check_exists(type_: str, name: str) -> None:
    """Raises `BlockNotFound`. A block that cannot be read exists, too."""
    with contextlib.suppress(UnreadableBlock):
        ask(blocks.READ_BLOCK_BY_NAME, blocks.ReadBlock(type=type_, name=name))


def _read_value(hidden: bool) -> str:
    if is_terminal(sys.stdin):
        return _typed(hidden)
    try:
        data = b"" if sys.stdin is None else sys.stdin.buffer.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise click.UsageError(f"The value has more than {LONGEST:,} bytes. Save such a block in Python.")
        text = data.decode()
    except UnicodeDecodeError:
        raise click.UsageError("Standard input is not UTF-8 text.") from None
    line = text.removesuffix("\n").removesuffix("\r")
    text = text if "\n" in line else line
    if not text:
        raise click.UsageError("There is no value: standard input is empty.")
    return text


def _typed(hidden: bool) -> str:
    try:
        text = str(click.prompt("Value", hide_input=hidden, err=True))
        size = len(text.encode())
    except UnicodeError:
        raise click.UsageError("What was typed is not UTF-8 text.") from None
    if size >= LONGEST_TYPED:
        raise click.UsageError(
            f"A terminal takes {LONGEST_TYPED:,} bytes of a line at most, and drops the others: give the value on "
            "standard input, `< file`."
        )
    return text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise UnstorableValue("The value is not JSON.") from None


@block.command()
@click.argument("addresses", nargs=-1, required=True, metavar="TYPE/NAME...")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def delete(addresses: tuple[str, ...], yes: bool) -> None:
    """Delete blocks."""
    found = [parse_address(address) for address in addresses]
    for each in found:
        _check_exists(*each)
    if not yes and is_terminal(sys.stdin):
        click.confirm(f"Are you sure you want to delete {', '.join(map(repr, addresses))}?", abort=True)
    for each in found:
        ask(blocks.DELETE_BLOCK, blocks.BlockAddress(*each))
        click.echo(f"Deleted block '{'/'.join(each)}'.")


@block.command()
@click.option("--module", "-m", metavar="MODULE", help="The module that defines them, as it is imported.")
@click.option("--file", "-f", metavar="PATH", type=click.Path(exists=True, dir_okay=False), help="Or its file.")
def register(module: str | None, file: str | None) -> None:
    """Show which types of blocks a module defines.

    There is nowhere to register them: a type is known where its module is imported.
    """
    import importlib
    import runpy

    from penstock.blocks.core import block_types

    if (module is None) == (file is None):
        raise click.UsageError("Name a module or a file.")
    before = set(block_types())
    sys.path.insert(0, "")
    try:
        if module is not None:
            importlib.import_module(module)
        else:
            runpy.run_path(str(file))
    except Exception as error:
        raise click.ClickException(f"{module or file} cannot be imported: {type(error).__name__}: {error}") from None
    found = [each for each in block_types() if each not in before]
    for each in found:
        click.echo(f"{each.get_block_type_slug()}: {each.get_block_type_name()}")
    if not found:
        remark(f"{module or file} defines no types of blocks.")


@block.group("type")
def type_group() -> None:
    """View the types of blocks."""


@type_group.command("ls")
@output_option
def list_types(output: str) -> None:
    """List the types that come with Penstock, and those of the blocks there are."""
    from penstock.blocks.core import block_types

    counts = ask(blocks.COUNT_BLOCKS, Nothing())
    known = {each.get_block_type_slug(): each for each in block_types()}
    rows = [
        {
            "slug": slug,
            "name": known[slug].get_block_type_name() if slug in known else None,
            "description": known[slug].get_description() if slug in known else None,
            "blocks": counts.get(slug, 0),
        }
        for slug in sorted({*known, *counts})
    ]
    if output == JSON:
        print_json(rows)
    else:
        print_table(
            ("Type", "Name", "Blocks", "Description"),
            [(each["slug"], each["name"], each["blocks"], each["description"]) for each in rows],
        )


@block.command()
def key() -> None:
    """Print a new key for PENSTOCK_ENCRYPTION_KEY, or for the key file. It is kept nowhere."""
    from penstock.vault import new_key

    click.echo(new_key())


@block.command()
def reencrypt() -> None:
    """Encrypt the secrets of all blocks with the present key, so that older keys can go."""
    encrypted = ask(blocks.REENCRYPT_BLOCKS, Nothing())
    click.echo(f"Encrypted {shown.count_of(encrypted.done, 'block')} anew, of {encrypted.of:,}.")


def _head(document: blocks.Block) -> dict[str, Any]:
    return {
        "id": document.id,
        "type": document.type,
        "name": document.name,
        "created": document.created,
        "updated": document.updated,
    }


def _text(value: Any) -> str:
    """A field's value on one line: text as it is, anything else as JSON."""
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    return shown.one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
