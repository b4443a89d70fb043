"""Proves that a manifest tells the truth: `ape run check_deployment --network ...`.

Checks the chain's id and first block, every contract's code (its hash, and that it is what this
checkout compiles to), every constant, the books, the policy, the catalogue and the owners. Sends
nothing. Exit codes: 0 all true, 1 something is not, 2 no usable manifest, 3 no node.
"""

from pathlib import Path

import ape
import click
from ape.cli import ConnectedProviderCommand

from headrace.chain.audit import audit
from headrace.chain.manifest import Deployment
from headrace.errors import HeadraceError, Unreachable, UsageError
from scripts._ape_deployer import files_of, rpc_of


@click.command(cls=ConnectedProviderCommand)
@click.option("--manifest", type=click.Path(path_type=Path), help="Another manifest.")
def cli(manifest: Path | None) -> None:
    """Compare a manifest with the chain."""
    provider = ape.networks.provider
    path = manifest or files_of(provider)[1]
    try:
        findings = audit(rpc_of(provider), Deployment.load(path))
    except HeadraceError as error:
        click.echo(f"Error: {error}", err=True)
        code = 2 if isinstance(error, UsageError) else 3 if isinstance(error, Unreachable) else 1
        raise SystemExit(code) from None
    for finding in findings:
        click.echo(f"{'ok  ' if finding.is_true else 'NOT '} {finding.what}")
    wrong = sum(not finding.is_true for finding in findings)
    click.echo(f"{path}: {len(findings) - wrong} of {len(findings)} hold")
    if wrong:
        raise SystemExit(1)
