"""Everything a process reads from its environment. Built once, where a program starts, then passed.

Every field is a variable with the prefix `HEADRACE_`: `HEADRACE_RPC_URL`, `HEADRACE_HOME`. Secrets
are better kept in files: `HEADRACE_RPC_URL_FILE` and `HEADRACE_PASSPHRASE_FILE` name them.
"""

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from headrace.errors import UsageError
from headrace.logging import secrets_of_url

GWEI = 10**9


class Settings(BaseSettings):
    """Frozen. Paths may begin with `~`."""

    model_config = SettingsConfigDict(
        env_prefix="HEADRACE_", frozen=True, extra="ignore", validate_default=True
    )

    # Keys, the daemons' own records and, unless said otherwise, the store.
    home: Path = Path("~/.headrace")
    # The node. May carry a key, so it is never shown whole.
    rpc_url: SecretStr = SecretStr("http://127.0.0.1:8545")
    rpc_url_file: Path | None = None
    # Seconds until an unanswered request has failed.
    rpc_timeout: float = Field(default=20.0, gt=0, le=300)
    # Where the daemons keep what they read of the chain: a PostgreSQL server instead of their home.
    # May carry a password.
    database_url: SecretStr | None = None
    database_url_file: Path | None = None
    # Which deployment; `home/deployment.json` if it isn't said.
    manifest: Path | None = None
    # Where blobs are: a folder.
    store: Path | None = None
    # Where signed offers are: a folder that everybody shares; the store's `board` if it isn't said.
    board: Path | None = None
    # Which keyfile of `home/keys` signs.
    account: str = Field(default="default", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    passphrase: SecretStr | None = None
    passphrase_file: Path | None = None
    # A signer on another machine instead of a keyfile, for keepers and watchers, and the account
    # that it holds. May carry a password.
    signer_url: SecretStr | None = None
    signer_address: str | None = Field(default=None, pattern=r"^0x[0-9a-fA-F]{40}$")
    # The most that is paid per unit of gas, in gwei.
    max_fee_gwei: float = Field(default=200.0, gt=0, le=100_000)
    # What a daemon's ordinary actions may burn in gas in a day of chain time, in gwei; its safety
    # actions may burn as much once more.
    gas_per_day_gwei: int = Field(default=1_000_000_000, gt=0, le=10**15)
    # What a keeper matches for, in whole tokens: no lower tip than this; what an ether of gas is
    # worth (0: gas counts nothing), and how much more than its gas a match has to bring.
    min_tip: str = "0"
    ether: str = "0"
    margin: str = "0"
    # Other keepers to take turns with that weren't seen on chain: accounts, with commas between.
    rivals: str = ""
    # Wait while another process sends with the same key, and take over when it ends.
    standby: bool = False
    # Blocks after which a transaction is taken for final.
    confirmations: int = Field(default=2, ge=0, le=512)
    # Days of chain time for which the outbox keeps what is final, for people who ask about it.
    outbox_keep_days: int = Field(default=30, ge=2, le=3_650)
    # Seconds between two looks at the chain.
    poll_seconds: float = Field(default=0.25, ge=0.01, le=60)
    # Where metrics and health are served: a port, "auto" for any free one, "0" for nowhere.
    http_host: str = "127.0.0.1"
    http_port: str = Field(default="0", pattern=r"^(auto|[0-9]{1,5})$")
    # Seconds in which a loop has to come round before its process is ended; 0 for never.
    watchdog_seconds: float = Field(default=300.0, ge=0, le=86_400)
    # Seconds without having been at the head, after which a daemon isn't ready.
    lag_seconds: float = Field(default=60.0, gt=0, le=86_400)
    # The largest trace that a watcher computes, in MiB: the check takes several times that memory.
    max_trace_mb: int = Field(default=512, ge=1, le=16_384)
    # Whether a watcher commits to a fault before it proves it, where the verifier takes that.
    commit_first: bool = True
    # Balance of the key under which a daemon isn't ready, in gwei.
    reserve_gwei: int = Field(default=1_000_000, ge=0, le=10**15)
    log_level: str = Field(default="INFO", pattern=r"^(?i:debug|info|warning|error)$")

    @field_validator(
        *("home", "manifest", "store", "board", "rpc_url_file", "passphrase_file"),
        "database_url_file",
    )
    @classmethod
    def _expanded(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()

    @property
    def keys_folder(self) -> Path:
        """Where keyfiles are."""
        return self.home / "keys"

    @property
    def manifest_path(self) -> Path:
        """The deployment that is talked to."""
        return self.manifest or self.home / "deployment.json"

    @property
    def store_path(self) -> Path:
        """Where blobs are."""
        return self.store or self.home / "store"

    @property
    def board_path(self) -> Path:
        """Where signed offers are."""
        return self.board or self.store_path / "board"

    @property
    def listen_port(self) -> int | None:
        """The port to serve health at, 0 for any free one; None for nowhere."""
        if self.http_port == "auto":
            return 0
        return int(self.http_port) or None

    @property
    def max_trace(self) -> int:
        """The largest trace that a watcher computes, in bytes."""
        return self.max_trace_mb << 20

    @property
    def reserve(self) -> int:
        """The key's balance under which a daemon isn't ready, in wei."""
        return self.reserve_gwei * GWEI

    @property
    def max_fee(self) -> int:
        """The most that is paid per unit of gas, in wei."""
        return int(self.max_fee_gwei * GWEI)

    @property
    def gas_per_day(self) -> int:
        """What each class of a daemon's actions may burn in a day, in wei."""
        return self.gas_per_day_gwei * GWEI

    def url(self) -> str:
        """The node's whole URL, for the connection alone. UsageError if its file can't be read."""
        return read_secret(self.rpc_url_file) or self.rpc_url.get_secret_value()

    def database(self) -> str | None:
        """The database's whole URL; None for files. UsageError if its file can't be read."""
        given = None if self.database_url is None else self.database_url.get_secret_value()
        return read_secret(self.database_url_file) or given

    def signer(self) -> str | None:
        """The remote signer's whole URL; None for a keyfile."""
        return None if self.signer_url is None else self.signer_url.get_secret_value()

    def passphrase_of_account(self) -> str | None:
        """The passphrase, if the environment has one. UsageError if its file can't be read."""
        if self.passphrase_file is not None:
            return read_secret(self.passphrase_file)
        return None if self.passphrase is None else self.passphrase.get_secret_value()

    def secrets(self) -> list[str]:
        """
        What must never get into a log: every secret setting, and what a URL carries beside its host
        (URLs are cut to their hosts there anyway, but errors quote their pieces).
        """
        values = [self.passphrase_of_account() or "", self.url(), self.database() or ""]
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                values.append(value.get_secret_value())
        found: list[str] = []
        for value in filter(None, values):
            found += secrets_of_url(value) if "://" in value else [value]
        return found


def load(**overrides: Any) -> Settings:
    """The settings of the environment, with those not None in `overrides` put over them. UsageError
    names the variable that can't be used."""
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False)[0]
        name = "_".join(str(part) for part in wrong["loc"]).upper()
        raise UsageError(f"HEADRACE_{name}: {wrong['msg']}") from None


def read_secret(path: Path | None) -> str | None:
    """The first line of a file; None without one. UsageError if it can't be read or is empty."""
    if path is None:
        return None
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"{path} can't be read: {reason}") from None
    if not lines or not lines[0].strip():
        raise UsageError(f"{path} is empty")
    return lines[0].strip()
