"""Who is in the soak: the town, its daemons behind three unreliable nodes, and the jobs."""

import os
import random
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from headrace.chain.views import JobState
from headrace.errors import HeadraceError
from headrace.graph.tensors import input_bytes
from headrace.terms.words import FaultProofSettings, Terms
from tests.flows.town import PASSPHRASE, UNIT, Daemon, Town
from tests.misbehaving_rpc import Proxy
from tests.unit.fault_proof.court import random_input

KEEPERS, WATCHERS, NODES = 3, 2, 10
# Of the nodes, by their number; the others are honest.
ROLES = {7: "liar", 8: "liar", 9: "withholder"}
BLOCK_SECONDS = 2
# Long enough for a watcher that has just been killed to come back and convict.
CHECK = FaultProofSettings(window=50, reply=40, follow=30)
_REQUESTER = 1
_FIRST_NODE = 2
_UNITS = 4
# Seconds of chain time after which a job that isn't known was taken back by a reorganisation.
_TAKEN_BACK = 20


@dataclass(slots=True)
class Player:
    """A daemon, which kind it is, and whether it may be killed."""

    daemon: Daemon
    kind: str
    may_die: bool
    is_stopped: bool = False

    @property
    def pid(self) -> int:
        """Of the process that runs now."""
        assert self.daemon.process is not None  # noqa: S101
        return self.daemon.process.pid

    def rss_mb(self) -> float:
        """Resident memory now; 0 if the process is gone."""
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        except OSError:
            return 0.0
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def send(self, number: int) -> None:
        """A signal to the process."""
        os.kill(self.pid, number)


@dataclass
class Soak:
    """Everything that runs."""

    town: Town
    proxies: list[Proxy]
    chance: random.Random
    players: list[Player] = field(default_factory=list)
    jobs: dict[bytes, Terms] = field(default_factory=dict)
    posted_at: dict[bytes, int] = field(default_factory=dict)
    # Everybody with money beside the town's people.
    accounts: list[str] = field(default_factory=list)
    reposted: int = 0

    @classmethod
    def begin(cls, folder: Path, chance: random.Random) -> "Soak":
        """The town with its people, all daemons started, a block every two seconds."""
        town = Town(folder, settings=CHECK)
        proxies: list[Proxy] = []
        try:
            proxies += [Proxy(town.anvil.url) for _ in range(3)]
            soak = cls(town, proxies, chance)
            soak._people()
            town.rpc.call("evm_setAutomine", False)
            town.rpc.call("evm_setIntervalMining", BLOCK_SECONDS)
            for player in soak.players:
                player.daemon.start()
        except BaseException:
            _end(town, proxies)
            raise
        return soak

    def end(self) -> None:
        """End every process."""
        for player in self.players:
            if player.is_stopped:
                player.send(signal.SIGCONT)
        _end(self.town, self.proxies)

    def _people(self) -> None:
        town = self.town
        town.fund(town.people[_REQUESTER], 100_000 * UNIT, 1)
        for number in range(NODES):
            index = _FIRST_NODE + number
            role = ROLES.get(number, "")
            daemon = town.node(index, role)
            # A lie costs three prices at least; the liars are to go on to the end.
            town.fund(town.people[index], (20_000 if role else 1_000) * UNIT, 3)
            self._add(daemon, role or "node", may_die=number > 0)
        for number in range(WATCHERS):
            home, address = self._home(f"watcher{number}", 2_000 + number)
            town.rpc.call("anvil_impersonateAccount", address)
            town.fund(address, 1_000 * UNIT, 1 << town.vault.FAULT_PROOF_BOOK)
            self._add(self._daemon(home, "headrace.watch"), "watcher", may_die=number > 0)
        for number in range(KEEPERS):
            home, _ = self._home(f"keeper{number}", 3_000 + number)
            self._add(self._daemon(home, "headrace.keeper"), "keeper", may_die=number > 0)

    def _home(self, name: str, secret: int) -> tuple[Path, str]:
        home, address = self.town.home(name, secret)
        self.accounts.append(address)
        return home, address

    def _daemon(self, home: Path, module: str) -> Daemon:
        command = [sys.executable, "-m", module]
        daemon = Daemon(home.name, command, {"HEADRACE_HOME": str(home)}, home / "log.jsonl")
        self.town.daemons.append(daemon)
        return daemon

    def _add(self, daemon: Daemon, kind: str, *, may_die: bool) -> None:
        proxy = self.proxies[len(self.players) % len(self.proxies)]
        daemon.environment |= {
            "HEADRACE_RPC_URL": proxy.url,
            "HEADRACE_MANIFEST": str(self.town.manifest),
            "HEADRACE_STORE": str(self.town.store.path),
            "HEADRACE_BOARD": str(self.town.board.path),
            "HEADRACE_ACCOUNT": "operator",
            "HEADRACE_PASSPHRASE": PASSPHRASE,
            "HEADRACE_CONFIRMATIONS": "3",
            "HEADRACE_POLL_SECONDS": "0.5",
            "HEADRACE_RPC_TIMEOUT": "5",
            "HEADRACE_HTTP_PORT": "auto",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self.players.append(Player(daemon, kind, may_die))

    # ---- jobs

    def post(self) -> None:
        """One more job; it may be refused or lost, as everything may."""
        town = self.town
        tensor = random_input(town._rng, _UNITS, town.model.input_width)
        now = town.now
        terms = Terms(
            requester=town.people[_REQUESTER],
            verifier=town.fault_proof.address,
            settings=town.settings.pack(),
            requirement=0,
            program=town.model.program,
            input_id=bytes.fromhex(town.store.put_tensor(tensor)),
            price_start=4 * UNIT,
            price_cap=4 * UNIT,
            damage_cap=UNIT // 2,
            tip_fixed=0,
            tip_max=0,
            tip_share_bps=0,
            no_show_bps=5_000,
            max_attempts=3,
            valid_from=now,
            ramp_seconds=1,
            final_deadline=now + 900,
            ack_seconds=15,
            attempt_seconds=45,
            units=_UNITS,
            input_bytes=input_bytes(_UNITS, town.model.input_width),
            epoch=0,
            salt=len(self.jobs) + 1,
        )
        job_id = town.job_id(terms)
        self.jobs[job_id] = terms
        self._send(job_id)

    def _send(self, job_id: bytes) -> None:
        terms = self.jobs[job_id]
        call = self.town.escrow.post_job(terms)
        request = {"from": terms.requester, "to": call.to, "data": "0x" + call.data.hex()}
        self.posted_at[job_id] = self.town.now
        try:
            self.town.rpc.call("eth_sendTransaction", request)
        except HeadraceError as error:
            print(f"  a job could not be posted: {error}")

    def states(self) -> dict[bytes, JobState]:
        """Where every job is now."""
        ids = list(self.jobs)
        slots = []
        for start in range(0, len(ids), 100):
            slots += self.town.escrow.jobs(ids[start : start + 100])
        return {job_id: slot.state for job_id, slot in zip(ids, slots, strict=True)}

    def post_again(self) -> None:
        """Jobs that a reorganisation took back with their block are for their requester to post."""
        now = self.town.now
        for job_id, state in self.states().items():
            if state == JobState.NONE and now - self.posted_at[job_id] > _TAKEN_BACK:
                self.reposted += 1
                self._send(job_id)

    # ---- money

    def is_conserved(self) -> bool:
        """Whether all accounts and the sink are all that the Vault holds, and the token agrees."""
        town, vault = self.town, self.town.vault
        block = town.rpc.head().number
        owed = vault.sunk(block)
        for person in {*town.people, *self.accounts}:
            account = vault.account_of(person, block)
            owed += account.free + account.reserved_escrow + account.reserved_registry
            owed += vault.reserved_of(person, vault.FAULT_PROOF_BOOK, block)
        held = vault.total_held(block)
        return owed == held == town.token.balance_of(vault.address, block)

    def reserved(self) -> int:
        """What is still kept for jobs of the requester, in token units."""
        town = self.town
        return town.vault.account_of(town.people[_REQUESTER]).reserved_escrow


def _end(town: Town, proxies: list[Proxy]) -> None:
    town.stop()
    for proxy in proxies:
        proxy.close()
