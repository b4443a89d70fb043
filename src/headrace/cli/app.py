"""The program: its commands, the options they share, and what every error ends with."""

import difflib
import functools
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from headrace import __version__
from headrace.chain.deployment import WrongDeployment
from headrace.chain.follower import TooDeep
from headrace.chain.rpc import NodeError
from headrace.cli.answer import Answer
from headrace.cli.hints import hint
from headrace.cli.session import Session
from headrace.errors import HeadraceError, Rejected, RetryLater, Unreachable, UsageError
from headrace.graph.errors import InputError, ModelError
from headrace.logging import mask_urls
from headrace.store.errors import MissingBlob

REFUSED, USAGE, UNREACHABLE, INTERRUPTED = 1, 2, 3, 130
_KINDS = {REFUSED: "refused", USAGE: "usage", UNREACHABLE: "unreachable"}
_META = "headrace.cli"

# In the order of `--help`: the module of each command, in which it has the same name, and dashes
# are underscores.
_COMMANDS = {
    "up": "up",
    "init": "setup",
    "account": "setup",
    "faucet": "funds",
    "deposit": "funds",
    "withdraw": "funds",
    "authorise": "funds",
    "model": "model",
    "input": "inputs",
    "quote": "quote",
    "post": "post",
    "status": "status",
    "result": "result",
    "cancel": "cancel",
    "revoke": "cancel",
    "invoice": "invoice",
    "verify": "verify",
    "why": "why",
    "providers": "providers",
    "register": "register",
    "node": "daemons",
    "drain": "leave",
    "exit": "leave",
    "earnings": "earnings",
    "keeper": "daemons",
    "watch": "daemons",
}
_ATTRIBUTES = {"input": "input_", "exit": "exit_"}

F = TypeVar("F", bound=Callable[..., Any])


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    # Given before or after the command's name, at any depth: the innermost one counts.
    kept: dict[str, Any] = context.meta.setdefault(_META, {})
    if value is not None and value is not False:
        kept[option.name or ""] = value


def _option(*names: str, **attributes: Any) -> Callable[[F], F]:
    return click.option(*names, expose_value=False, callback=_keep, **attributes)


def shared(function: F) -> F:
    """The options that every command has; `Session.of` gets what was given."""
    path = click.Path(path_type=Path)
    options = (
        _option("--json", is_flag=True, help="One JSON document on stdout."),
        _option("-v", "--verbose", is_flag=True, help="Log on stderr what is done."),
        _option("--home", type=path, help="Folder of keys and records  [~/.headrace]"),
        _option("--rpc", metavar="URL", help="The node  [http://127.0.0.1:8545]"),
        _option("--manifest", type=path, help="The deployment  [HOME/deployment.json]"),
        _option("--store", type=path, help="Folder of models and inputs  [HOME/store]"),
        _option("--account", metavar="NAME", help="Which keyfile signs  [default]"),
        _option("--passphrase-file", type=path, help="File with its passphrase"),
    )
    for option in reversed(options):
        function = option(function)
    return function


Body = Callable[..., Answer | None]


def command(name: str) -> Callable[[Body], click.Command]:
    """
    A command whose function gets a Session and its own arguments, and returns its Answer (None if
    it has put it out itself). Its docstring is its help.
    """

    def make(function: Body) -> click.Command:
        @functools.wraps(function)
        def run(**arguments: Any) -> Answer | None:
            kept = click.get_current_context().meta.get(_META, {})
            with Session.of(kept) as session:
                return function(session, **arguments)

        return click.command(name)(shared(run))

    return make


class Program(click.Group):
    """The commands are imported when they are asked for; errors become exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, in the order in which a newcomer needs them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command with a name; None if there is none."""
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        attribute = _ATTRIBUTES.get(cmd_name, cmd_name)
        found: click.Command = getattr(import_module(f"headrace.cli.{module}"), attribute)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a guess at what was meant."""
        if args[0] not in _COMMANDS:
            close = difflib.get_close_matches(args[0], _COMMANDS, 1)
            ctx.fail(
                f"there is no command {args[0]!r}"
                + (f"; did you mean {close[0]}?" if close else "")
            )
        return super().resolve_command(ctx, args)

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        **extra: Any,
    ) -> NoReturn:
        """Run, put out the answer or the error, exit."""
        given = list(sys.argv[1:] if args is None else args)
        is_json = "--json" in given
        extra["standalone_mode"] = False
        try:
            answer = super().main(given, prog_name, **extra)
            if isinstance(answer, Answer):
                answer.emit(is_json)
                sys.stdout.flush()
                sys.exit(answer.code)
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            # Whoever read us has gone; what is left in the buffer has nowhere to go.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        except click.ClickException as error:
            if isinstance(error, click.UsageError):
                where = error.ctx.command_path if error.ctx else "headrace"
                _end(USAGE, error.format_message(), f"`{where} --help` shows how", is_json)
            _end(USAGE, error.format_message(), None, is_json)
        except (HeadraceError, OSError) as error:
            _fail(error, is_json)
        sys.exit(answer if isinstance(answer, int) else 0)


def exit_code(error: Exception) -> int:
    """What a command that meets this error ends with."""
    if isinstance(error, UsageError | InputError | ModelError | WrongDeployment | TooDeep):
        return USAGE
    if isinstance(error, Unreachable | RetryLater | NodeError | MissingBlob):
        return UNREACHABLE
    return USAGE if isinstance(error, OSError) else REFUSED


def _fail(error: Exception, is_json: bool) -> NoReturn:
    if isinstance(error, OSError) and not error.filename:
        raise error
    advice = hint(error.reason) if isinstance(error, Rejected) else None
    message = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
    _end(exit_code(error), mask_urls(message), advice, is_json)


def _end(code: int, message: str, advice: str | None, is_json: bool) -> NoReturn:
    kind = _KINDS[code]
    click.echo(f"{kind}: {message}", err=True)
    if advice:
        click.echo(f"  {advice}", err=True)
    if is_json:
        Answer({"error": {"kind": kind, "reason": message, "advice": advice}}).emit(True)
    sys.exit(code)


@click.command("headrace", cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="headrace")
@shared
def cli() -> None:
    """Buy AI work from GPU owners you don't have to trust, or sell it.

    `headrace up` starts everything on a chain of your own, to play with.
    """
