"""The parameters of a deployment, from `deployments/<network>.params.json`.

Amounts in token units, times in seconds. The bounds here are those of the constructors, so that a
mistake is found before anything is sent; docs/parameters.md says why each is what it is.
"""

import json
from pathlib import Path
from typing import Annotated, Self

from eth_utils.address import is_checksum_address
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from headrace.errors import UsageError

DAY = 86_400
_AMOUNT_MAX = 2**80 - 1


def _address(value: str) -> str:
    if not is_checksum_address(value):
        raise ValueError("is not a checksummed address")
    return value


Address = Annotated[str, AfterValidator(_address)]
Amount = Annotated[int, Field(ge=1, le=_AMOUNT_MAX)]
Duration = Annotated[int, Field(ge=1, le=30 * DAY)]
LongDuration = Annotated[int, Field(ge=1, le=365 * DAY)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Range(_Strict):
    """The least and the most that terms may ask for, in seconds."""

    min: Duration
    max: Duration

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError("min is above max")
        return self


class PolicyParameters(_Strict):
    """How the verifiers may be used."""

    charge_bps: int = Field(ge=0, le=200)
    keeper_fee: int = Field(ge=0, le=_AMOUNT_MAX)


class GpuModel(_Strict):
    """An entry of the catalogue; its place in the list is its number."""

    name: str = Field(min_length=1, max_length=32)
    vram_gib: int = Field(ge=1, le=65_535)


class Parameters(_Strict):
    """Everything that a deployment fixes, and what it begins with."""

    chain_id: int = Field(ge=1)
    # The ERC-20 of all amounts; null puts a faucet token there.
    token: Address | None = None
    # Gets what is flushed out of the sink.
    sink_receiver: Address
    # Who is offered the ownership at the end; null leaves it with the deployer.
    owner: Address | None = None
    min_bond: Amount
    heartbeat_ttl: LongDuration
    half_life: LongDuration
    weight_cap: int = Field(ge=1, le=2**40 - 1)
    attempt_max: Duration
    delay_max: Duration
    timelock: int = Field(ge=0, le=30 * DAY)
    demand_fee: Amount
    # For one node of a large trace.
    node_fee: Amount
    # Accounts that have to keep a copy of a large model before jobs may name it.
    min_mirrors: int = Field(ge=0, le=2**24 - 1)
    window: Range
    # Also the bounds of the time for proofs after a published trace; of 24 bits.
    reply: Range
    policy: PolicyParameters
    gpu_models: tuple[GpuModel, ...] = Field(min_length=1, max_length=96, strict=False)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        least = self.window.min + 2 * self.reply.min
        if least > self.delay_max:
            raise ValueError(
                f"delay_max {self.delay_max} leaves no room for the shortest window and replies "
                f"({least} seconds)"
            )
        names = [model.name for model in self.gpu_models]
        if len(set(names)) != len(names):
            raise ValueError("gpu_models has a name twice")
        return self

    @classmethod
    def load(cls, path: Path) -> "Parameters":
        """From a file. UsageError names the file, and the line or the field that is wrong."""
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            raise UsageError(f"there is no {path}") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} can't be read: {error}") from None
        return cls.of(content, path)

    @classmethod
    def of(cls, content: object, path: Path) -> "Parameters":
        """From JSON; `path` is where it stands."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            wrong = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in wrong["loc"]) or "parameters"
            raise UsageError(f"{path}: {field}: {wrong['msg']}") from None
