"""The harness itself: what the other tests believe about values, events, reverts and time."""

import pytest
from eth_account import Account as Signer
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from tests.harness import GENESIS_TIME, Chain, Contract, Reverted, RpcError, reverts

TAG = keccak(text="tag")


@pytest.fixture(scope="module")
def probe(chain: Chain) -> Contract:
    return chain.deploy("Probe", 7, chain.accounts[0])


def test_values_go_in_and_come_out(chain: Chain, probe: Contract) -> None:
    owner = chain.accounts[3]
    pairs, code, first = probe.echo([(5, owner), {"amount": 6, "owner": probe}], "0x0102")
    assert pairs[0].amount == 5
    assert pairs[0].owner == owner.address
    assert pairs[1] == (6, probe.address)
    assert code == b"\x01\x02"
    assert first == pairs[0]


def test_transaction_gives_state_events_and_return_value(chain: Chain, probe: Contract) -> None:
    owner = chain.accounts[2]
    receipt = probe.store((9, owner), [TAG], "word", sender=owner)
    assert probe.value() == 9
    assert receipt.return_value == 7
    assert receipt.gas_used > 21_000
    (event,) = receipt.events
    assert (event.name, event.address) == ("Stored", probe.address)
    assert event.args == (owner.address, keccak(text="word"), (9, owner.address), [TAG])
    assert receipt.only("Stored").pair.amount == 9


def test_default_arguments_and_wrong_arity(chain: Chain, probe: Contract) -> None:
    receipt = probe.store((9, chain.accounts[1]), [])
    assert receipt.only("Stored").label == keccak(text="plain")
    with pytest.raises(TypeError, match=r"store takes \[2, 3\] arguments, got 1"):
        probe.store((9, chain.accounts[1]))
    with pytest.raises(AttributeError, match="Probe has no function absent"):
        probe.absent()


def test_events_of_every_contract_in_a_transaction(chain: Chain, probe: Contract) -> None:
    other = chain.deploy("Probe", 1, chain.accounts[0])
    receipt = probe.ping_other(other)
    assert [(e.name, e.address) for e in receipt.events] == [("Pinged", other.address)]
    assert receipt.named("Stored") == []
    with pytest.raises(AssertionError, match="0 events Stored"):
        receipt.only("Stored")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(0, "probe: told to fail"), (1, ""), (3, "")],
    ids=["reason", "none", "arithmetic"],
)
def test_reasons_of_reverts(probe: Contract, kind: int, reason: str) -> None:
    with reverts(reason):
        probe.fail(kind)
    with reverts(reason):
        probe.simulate.fail(kind)


def test_failures_that_are_no_reverts_say_so(probe: Contract) -> None:
    for kind in (2, 4):
        with pytest.raises(Reverted) as caught:
            probe.fail(kind, gas=200_000)
        assert caught.value.reason not in ("", "probe: told to fail")


def test_reverts_wants_the_exact_reason(probe: Contract) -> None:
    with pytest.raises(AssertionError, match="probe: told to fail"), reverts("probe: told"):
        probe.fail(0)
    with pytest.raises(AssertionError, match="did not revert"), reverts("probe: told to fail"):
        probe.ping()


def test_views_and_constructors_give_their_reason(chain: Chain, probe: Contract) -> None:
    with reverts("probe: nothing to see"):
        probe.look(0)
    with reverts("probe: owner is zero"):
        chain.deploy("Probe", 1, "0x" + "00" * 20)


def test_simulation_changes_nothing(chain: Chain, probe: Contract) -> None:
    assert probe.simulate.store((9, chain.accounts[1]), []) == 7
    assert probe.value() == 7


def test_time_is_the_chains_own(chain: Chain, probe: Contract) -> None:
    start = chain.now()
    assert start >= GENESIS_TIME
    assert probe.ping().timestamp == start + 1
    assert probe.ping(timestamp=start + 50).only("Pinged").stamp == start + 50
    assert probe.ping().timestamp == start + 51
    assert chain.travel(100) == start + 151 == chain.now()
    chain.next_time(start + 200)
    assert probe.ping().timestamp == start + 200
    chain.mine(3)
    assert chain.now() == start + 203
    assert probe.look(1) == start + 203
    assert probe.look(1, timestamp=start + 999) == start + 999
    with pytest.raises(RpcError):
        chain.next_time(start)


def test_snapshots_undo_state_and_time(chain: Chain, probe: Contract) -> None:
    start = chain.now()
    with chain.isolated():
        probe.store((9, chain.accounts[1]), [], timestamp=start + 1000)
    assert (probe.value(), chain.now()) == (7, start)
    kept = chain.snapshot()
    chain.restore(kept)
    with pytest.raises(RpcError):
        chain.restore(kept)


@pytest.mark.parametrize("_turn", [1, 2])
def test_each_test_starts_from_the_modules_state(chain: Chain, probe: Contract, _turn: int) -> None:
    assert probe.value() == 7
    probe.store((8, chain.accounts[1]), [])


@given(amount=st.integers(0, 2**256 - 1))
def test_properties_can_use_the_chain(chain: Chain, probe: Contract, amount: int) -> None:
    with chain.isolated():
        probe.store((amount, chain.accounts[1]), [])
        assert probe.value() == amount


def test_accounts_have_keys_and_any_address_can_send(chain: Chain, probe: Contract) -> None:
    assert len(chain.accounts) == 40
    for account in (chain.accounts[0], chain.accounts[39]):
        assert Signer.from_key(account.key).address == account.address
        assert probe.caller(sender=account) == account.address
    contract = chain.impersonate(probe)
    assert probe.ping(sender=contract).raw["from"] == probe.address.lower()
    with pytest.raises(ValueError, match="no key"):
        _ = contract.key


def test_addresses_of_coming_contracts(chain: Chain) -> None:
    deployer = chain.accounts[4]
    expected = [chain.create_address(deployer, ahead=n) for n in (0, 1)]
    made = [chain.deploy("Probe", 1, deployer, sender=deployer).address for _ in expected]
    assert made == expected


def test_storage_words(chain: Chain, probe: Contract) -> None:
    probe.store((11, chain.accounts[1]), [])
    assert chain.storage(probe, 0) == 11


def test_no_transaction_is_lost_after_a_restore(chain: Chain, probe: Contract) -> None:
    """What a node that mines by itself loses once in some hundred restores (see Anvil.send)."""
    for value in range(300):
        with chain.isolated():
            probe.store((value, chain.accounts[1]), [])
            assert chain.storage(probe, 0) == value
