"""`penstock completion`: what a shell completes commands by."""

from __future__ import annotations

import os

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS), required=False)
@click.pass_context
def completion(context: click.Context, shell: str | None) -> None:
    """Print what completes `penstock` commands in a SHELL (default: the one of $SHELL).

    \b
    bash: penstock completion bash > ~/.local/share/bash-completion/completions/penstock
    zsh:  penstock completion zsh > ~/.zfunc/_penstock
    fish: penstock completion fish > ~/.config/fish/completions/penstock.fish
    """
    wanted = shell or os.path.basename(os.environ.get("SHELL", ""))
    if wanted not in SHELLS:
        raise click.UsageError(f"Say which shell: {', '.join(SHELLS)}.")
    made = get_completion_class(wanted)
    assert made is not None
    click.echo(made(context.find_root().command, {}, "penstock", "_PENSTOCK_COMPLETE").source())
