"""Puts the protocol on the connected network: `ape run deploy --network ... --account ...`.

Parameters come from `deployments/<network>.params.json`, the record goes to
`deployments/<ecosystem>-<network>.json`. Asks nothing; can be stopped and run again at any point,
and run once more when the policy's timelock is over. Exit codes: 0 complete, 1 refused or to be run
again, 2 something to put right first, 3 no node.
"""

from pathlib import Path

import ape
import click
from ape.cli import ConnectedProviderCommand, account_option

from headrace.chain.parameters import Parameters
from headrace.chain.wiring import deploy
from headrace.errors import HeadraceError, Unreachable, UsageError
from scripts._ape_deployer import ApeDeployer, commit, files_of, rpc_of, unlocked


@click.command(cls=ConnectedProviderCommand)
@account_option()
@click.option("--params", type=click.Path(path_type=Path), help="Another parameters file.")
@click.option("--manifest", type=click.Path(path_type=Path), help="Another manifest.")
def cli(account: ape.api.AccountAPI, params: Path | None, manifest: Path | None) -> None:
    """Deploy, or go on with a deployment."""
    try:
        run(account, params, manifest)
    except HeadraceError as error:
        click.echo(f"Error: {error}", err=True)
        code = 2 if isinstance(error, UsageError) else 3 if isinstance(error, Unreachable) else 1
        raise SystemExit(code) from None


def run(account: ape.api.AccountAPI, params: Path | None, manifest: Path | None) -> None:
    """The command without its exit codes."""
    provider = ape.networks.provider
    default_params, default_manifest = files_of(provider)
    result = deploy(
        rpc_of(provider),
        ApeDeployer(unlocked(account), provider),
        Parameters.load(params or default_params),
        manifest or default_manifest,
        commit=commit(),
        say=click.echo,
    )
    state = "complete" if result.is_complete else "not complete: run this again when it is time"
    click.echo(f"{result.path}: {state}")
