"""Revoking all bids: what was signed under an earlier epoch can't be matched any more."""

from eth_abi import encode
from eth_utils import keccak

from headrace.terms.words import ZERO_HASH
from tests.harness import reverts
from tests.system import MATCHED, System


def test_revokes_what_was_signed(system: System) -> None:
    requester = system.requesters[0]
    old, other = system.terms(), system.terms(requester=system.requesters[1].address)
    batch = system.terms(input_id=ZERO_HASH)
    receipt = system.escrow.revoke_bids(sender=requester)
    assert receipt.only("BidsRevoked") == (requester.address, 1)
    assert system.escrow.bid_epoch(requester) == 1
    with reverts("match: bid is revoked"):
        system.match(old)
    with reverts("match: bid is revoked"):
        system.match_batch(batch)
    assert system.job(system.match(system.terms(epoch=1))).state == MATCHED
    assert system.job(system.match(other)).state == MATCHED


def test_an_epoch_that_has_not_come_is_no_better(system: System) -> None:
    with reverts("match: bid is revoked"):
        system.match(system.terms(epoch=1))


def test_a_job_that_opened_stays(system: System) -> None:
    posted = system.post()
    failed = system.match(system.terms())
    system.expire(failed)
    system.escrow.revoke_bids(sender=system.requesters[0])
    assert system.job(system.match(posted)).state == MATCHED
    again = system.match(failed.terms, system.ask(1), excluded=[failed.exclusion])
    assert system.job(again).attempt == 2


def test_the_last_epoch_has_no_next(system: System) -> None:
    requester, slot = system.requesters[0], None
    # The slot of the map is found by trying: layouts are not part of the interface.
    system.escrow.revoke_bids(sender=requester)
    for base in range(40):
        place = keccak(encode(["uint256", "address"], [base, requester.address]))
        if system.chain.storage(system.escrow, int.from_bytes(place)) == 1:
            slot = "0x" + place.hex()
    assert slot is not None

    def set_epoch(epoch: int) -> None:
        value = "0x" + epoch.to_bytes(32).hex()
        system.chain.rpc("anvil_setStorageAt", system.escrow.address, slot, value)

    set_epoch(2**24 - 2)
    system.escrow.revoke_bids(sender=requester)
    assert system.escrow.bid_epoch(requester) == 2**24 - 1
    system.match(system.terms(epoch=2**24 - 1))
    with reverts("escrow: epochs are used up"):
        system.escrow.revoke_bids(sender=requester)
