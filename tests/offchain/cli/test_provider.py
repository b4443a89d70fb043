"""What a provider does: register, revoke, drain, leave, count what it has earned."""

from headrace.cli import local
from headrace.node.record import NodeRecord
from headrace.terms.requirement import ACTIVE
from tests.offchain.cli.players import NODE, UNIT, Player, World


def test_register_deposits_authorises_and_registers(world: World) -> None:
    eve = world.player("eve")
    path = eve.write("node.yaml", NODE)
    data = eve.json("register", path)
    assert (data["is_new"], data["bond"], data["free"]) == (True, "5", "0")
    assert len(data["txs"]) == 3  # approve, deposit with authorisation, register
    provider = world.registry.provider_of(eve.address)
    assert (provider.status, provider.bond) == (ACTIVE, 5 * UNIT)
    assert world.vault.account_of(eve.address).books == 3
    node = world.registry.node_of(eve.address, 0)
    assert node is not None
    assert (node.vram_gib, node.capacity) == (24, 4)

    # Again it changes nothing; another file changes the node.
    assert eve.json("register", path)["txs"] == []
    path = eve.write("node.yaml", NODE.replace("capacity: 4", "capacity: 9"))
    said = eve.run("register", path)
    assert "the offer locks up to 50 tUSD a job: `headrace deposit` more" in said.out
    changed = world.registry.node_of(eve.address, 0)
    assert changed is not None
    assert changed.capacity == 9


def test_register_with_a_bond_an_operator_and_a_payout(world: World, ada: Player) -> None:
    eve = world.player("eve", deposit=2)
    eve.run("account", "new", "worker", "--light")
    path = eve.write("node.yaml", "operator: worker\n" + NODE)
    data = eve.json("register", path, "--bond", "7.5", "--payout", ada.address)
    assert (data["bond"], data["payout"], data["free"]) == ("7.5", ada.address, "0")
    listed = eve.json("account", "list")["accounts"]
    assert data["operator"] == next(a["address"] for a in listed if a["account"] == "worker")
    assert eve.run("register", path, "--bond", "8", code=2).err.startswith("usage: --bond")


def test_register_refused(world: World, ada: Player) -> None:
    path = ada.write("node.yaml", NODE + "nod: 3\n")
    assert ada.run("register", path, code=2).err.startswith(
        f"usage: {path}:12: nod: is not a field"
    )
    path = ada.write("node.yaml", NODE.replace("region: eu-west", "region: eu-west\nvram: 25"))
    said = ada.run("register", path, "--json", code=1)
    assert said.error["reason"] == "registry: vram above the model's"
    assert said.error["advice"] == "give at most the memory that this GPU model has"
    path = ada.write("node.yaml", NODE)
    said = ada.run("register", path, "--bond", "4", "--json", code=1)
    assert said.error["reason"] == "registry: bond too small"
    assert "has 900 tUSD, not" in ada.run("register", path, "--bond", "2000", code=1).err
    second = ada.write("node.yaml", "index: 1\n" + NODE)
    assert "first node has the index 0" in ada.run("register", second, code=2).err
    theirs = ada.write("node.yaml", f"provider: '{world.fault_proof.address}'\n" + NODE)
    assert "use its --account" in ada.run("register", theirs, code=2).err


def test_the_list_of_providers(world: World, ada: Player, bob: Player) -> None:
    world.offer(bob)
    listed = [p for p in ada.json("providers")["providers"] if p["provider"] == bob.address]
    assert len(listed) == 1
    assert (listed[0]["status"], listed[0]["asks"], listed[0]["active"]) == ("active", 1, 0)
    assert listed[0]["nodes"][0]["gpu"] == "RTX 4090"
    assert listed[0]["nodes"][0]["region"] == "eu-west"
    said = ada.run("providers").out
    assert f"{bob.address[:10]}  available  1x RTX 4090 24G eu-west" in said
    assert "H100 80GB  80" in ada.run("providers", "--gpus").out


def test_drain_and_resume(world: World, ada: Player, bob: Player) -> None:
    world.offer(bob)
    home = bob.home / "node"
    identity = {
        "chain": "31337",
        "genesis": world.deployment.genesis.hex(),
        "escrow": world.escrow.address,
        "provider": bob.address,
        "index": "0",
    }
    record = NodeRecord(home / "node.db", identity)
    data = bob.json("drain")
    assert (data["asks_removed"], data["nodes_told"], data["running"]) == (1, [0], 0)
    assert record.is_draining
    assert not world.registry.provider_of(bob.address).is_available
    assert world.board.names("ask") == ()
    assert bob.json("drain")["txs"] == []
    assert bob.json("drain", "--resume")["is_available"]
    assert world.registry.provider_of(bob.address).is_available
    assert not record.is_draining
    record.close()
    said = ada.run("drain", "--provider", bob.address, "--json", code=1)
    assert said.error["reason"] == "registry: not the operator"
    assert "is no provider and works for none" in ada.run("drain", code=2).err


def test_an_operator_acts_for_its_provider(world: World) -> None:
    eve = world.player("eve")
    made = eve.json("account", "new", "worker", "--light")
    world.rpc.call("anvil_setBalance", made["address"], hex(10**20))
    eve.run("register", eve.write("node.yaml", "operator: worker\n" + NODE))
    data = eve.json("drain", "--account", "worker")
    assert (data["provider"], data["is_available"]) == (eve.address, False)


def test_revoking_asks(world: World, ada: Player, bob: Player) -> None:
    world.offer(bob)
    assert bob.json("revoke", "--lane", "3")["removed"] == 0
    assert bob.json("revoke", "--lane", "0")["removed"] == 1
    assert world.registry.provider_of(bob.address).revoked_lanes == 0b1001
    world.offer(bob, salt=5)
    world.offer(bob, lane=1, salt=6)
    assert bob.json("revoke", "--asks")["removed"] == 2
    assert world.registry.provider_of(bob.address).epoch == 1
    job_id = ada.json("post", ada.job())["posted"][0]["job"]
    world.offer(bob, epoch=0, salt=7)
    assert [r["name"] for r in ada.json("why", job_id, bob.address)["reasons"]] == ["epoch"]
    assert "--provider goes with" in bob.run("revoke", "--provider", bob.address, code=2).err


def test_exit_begins_waits_and_gives_the_bond_back(world: World, ada: Player, bob: Player) -> None:
    said = ada.run("exit", "--json", code=1)
    assert said.error["reason"] == "registry: not registered"
    begun = bob.json("exit")
    thaws_at = world.registry.provider_of(bob.address).thaws_at
    assert (begun["status"], begun["thaws_at"], len(begun["txs"])) == ("leaving", thaws_at, 1)
    again = bob.run("exit")
    assert "the bond of 5 tUSD thaws at" in again.out
    assert "(in 2d 2h)" in again.out
    assert bob.json("exit")["txs"] == []
    world.chain.travel(thaws_at + 1 - world.chain.now())
    assert "gone; the bond of 5 tUSD is free" in bob.run("exit").out
    assert bob.json("withdraw", "all")["withdrawn"] == "105"
    assert world.token.balance_of(bob.address) == 1_000 * UNIT
    assert "has left already" in bob.run("exit", code=1).err
    assert bob.address not in [p["provider"] for p in ada.json("providers")["providers"]]
    gone = [p for p in ada.json("providers", "--all")["providers"] if p["provider"] == bob.address]
    assert gone[0]["status"] == "gone"


def test_earnings_in_every_role(world: World, ada: Player, bob: Player) -> None:
    job_id = world.run_job(ada, bob)
    record = world.job(job_id).attempts[0].record
    running = bob.json("earnings")
    assert (running["running_jobs"], running["locked"], running["earned"]) == (1, "9", "0")
    assert running["free"] == "91"
    world.finalise(bob, job_id)
    paid = bob.json("earnings")
    assert (paid["final_jobs"], paid["completions"], paid["bond"]) == (1, 1, "5")
    assert paid["earned"] == "0.58"
    assert paid["tips"] == f"{record.tip / UNIT:.6f}".rstrip("0")
    assert bob.free() == 100 * UNIT + record.price + record.tip
    spent = ada.json("earnings")
    assert spent["spent"] == ada.json("invoice", job_id)["total"]
    assert ada.json("earnings", "--of", bob.address) == paid
    assert "earned with 1 jobs  0.58 tUSD" in bob.run("earnings").out

    second = ada.json("post", ada.job())["posted"][0]["job"]
    attempt = world.match(bob, second, world.offer(bob, salt=2))
    world.chain.travel(62)
    local.send(world.rpc, ada.key, world.escrow.expire(bytes.fromhex(second[2:]), attempt.record))
    lost = bob.json("earnings")
    assert (lost["slashes"], lost["no_shows"]) == (1, 1)
    ended = world.job(second).attempts[0]
    assert lost["slashed"] == f"{ended.slash / UNIT:.6f}".rstrip("0").rstrip(".")
    kept = ada.json("earnings")
    assert kept["damages"] == f"{ended.to_requester / UNIT:.6f}".rstrip("0").rstrip(".")
    assert kept["keeper_fees"] == f"{ended.to_keeper / UNIT:.6f}".rstrip("0").rstrip(".")
