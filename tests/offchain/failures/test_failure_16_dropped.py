"""Failure 16: the pool loses transactions: they are sent again, the lowest nonce first, no gap."""

import rlp

from tests.offchain.chain.till import Bench


def nonce_of(raw: str) -> int:
    return int.from_bytes(rlp.decode(bytes.fromhex(raw[4:]))[1])


def test_failure_16_everything_dropped_goes_in_again_in_order(bench: Bench):
    for number in range(6):
        bench.sender.submit(f"drip:{number}", bench.token.drip(1))
    bench.rpc.raws.clear()
    bench.anvil.rpc("anvil_dropAllTransactions")
    bench.mine(3)
    bench.sender.settle()
    assert [nonce_of(raw) for raw in bench.rpc.raws] == [0, 1, 2, 3, 4, 5]
    bench.mine()
    bench.sender.settle()
    assert (bench.balance, bench.nonce) == (6, 6)


def test_failure_16_one_missing_in_the_middle_does_not_hold_the_others_for_long(bench: Bench):
    txs = [bench.sender.submit(f"drip:{number}", bench.token.drip(1)) for number in range(5)]
    lost = bench.sender._outbox.attempts(txs[2].id)[0]
    bench.anvil.rpc("anvil_dropTransaction", "0x" + lost.hash.hex())
    for _ in range(6):
        bench.mine()
        bench.sender.settle()
    assert (bench.balance, bench.nonce) == (5, 5)
    assert bench.sender._outbox.get(txs[2].id).mined_tx == lost.hash


def test_failure_16_dropped_again_and_again_it_is_still_one_transaction(bench: Bench):
    tx = bench.sender.submit("drip", bench.token.drip(1))
    for _ in range(5):
        bench.anvil.rpc("anvil_dropAllTransactions")
        bench.mine(3)
        bench.sender.settle()
    bench.mine()
    bench.sender.settle()
    assert (bench.balance, bench.nonce) == (1, 1)
    assert bench.sender._outbox.get(tx.id).is_success
