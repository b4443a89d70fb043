"""What a requester does: quote, post, look, fetch, cancel, revoke, read the bill."""

import json
from pathlib import Path

import pytest

from headrace.chain.abi import Call
from headrace.chain.views import JobState
from headrace.cli import local
from headrace.terms import eip712
from headrace.terms.unmet import PRICE
from headrace.terms.words import Terms
from tests.offchain.cli.players import UNIT, Player, World, job_text


def post(player: Player, **changes: str) -> str:
    """Post a job; its id."""
    return str(player.json("post", player.job(**changes))["posted"][0]["job"])


# ---- quote


def test_a_quote_is_what_is_charged(world: World, ada: Player, bob: Player) -> None:
    ask = world.offer(bob)
    dear = world.offer(bob, price_base=900_000, salt=2)
    job_id = post(ada)
    terms = world.job(job_id).terms
    attempt = world.match(bob, job_id, ask)
    # The same terms as a quote sees them, at the very second of the match.
    block = hex(world.chain.block_number() - 1)
    at_match = world.chain.rpc(
        "eth_call",
        {
            "to": world.deployment.address("MatchRules"),
            "data": "0x"
            + world.deployment.rules(world.rpc).call("quote", terms, ask.ask).data.hex(),
        },
        block,
        {},
        {"time": hex(attempt.record.matched_at)},
    )
    price, tip, levy, charge, total, *_ = (
        int(at_match[2 + 64 * i : 66 + 64 * i], 16) for i in range(8)
    )
    world.claim(bob, job_id, world.trace(job_id))
    before = ada.free()
    world.finalise(bob, job_id)
    bill = ada.json("invoice", job_id)
    assert bill["total"] == _text(total)
    assert (bill["price"], bill["tip"]) == (_text(price), _text(tip))
    assert (bill["levy"], bill["charge"]) == (_text(levy), _text(charge))
    assert ada.free() == before == 100 * UNIT - total

    quoted = ada.json("quote", ada.job())
    assert [offer["ask"] for offer in quoted["offers"]] == [
        "0x" + ask.ask_hash.hex(),
        "0x" + dear.ask_hash.hex(),
    ]
    cheapest = quoted["offers"][0]
    assert cheapest["price"] == bill["price"]
    assert cheapest["lock"] == "9"
    assert cheapest["delay_seconds"] == 15
    assert cheapest["latest_end"] == quoted["at"] + 600 + 60 + 15


def test_a_quote_says_from_when_the_ramp_allows_it(world: World, ada: Player, bob: Player) -> None:
    ask = world.offer(bob, price_base=1_500_000)
    quoted = ada.json("quote", ada.job())
    (offer,) = quoted["offers"]
    assert quoted["at"] < offer["matched_at"] < quoted["at"] + 30
    assert [reason["name"] for reason in offer["unmet"]] == ["price"]
    assert "in 1" in ada.run("quote", ada.job()).out
    job_id = post(ada)
    terms, rules = world.job(job_id).terms, world.deployment.rules(world.rpc)
    at = terms.valid_from + offer["matched_at"] - quoted["at"]
    world.chain.travel(at - 1 - world.chain.now())
    assert rules.unmet(terms, ask.ask, [], [], ada.address) == (PRICE, 0)
    world.chain.travel(1)
    assert rules.unmet(terms, ask.ask, [], [], ada.address) == (0, 0)
    assert _text(rules.quote(terms, ask.ask).total) == offer["total"]


def test_a_quote_tells_why_an_offer_does_not_fit(world: World, ada: Player, bob: Player) -> None:
    world.offer(bob)
    path = ada.job(needs="{gpu: H100 80GB, region: us-east}")
    (offer,) = ada.json("quote", path)["offers"]
    assert offer["matched_at"] is None
    assert [reason["name"] for reason in offer["unmet"]] == ["gpu_model", "region"]
    assert "GPU model isn't among those asked for" in ada.run("quote", path).out


def test_a_quote_without_offers(ada: Player) -> None:
    said = ada.run("quote", ada.job())
    assert "no offer on" in said.out
    assert "public: anybody can read" in said.out


# ---- post


def test_post_puts_the_job_on_chain_and_tells_what_is_agreed(world: World, ada: Player) -> None:
    said = ada.run("post", ada.job())
    (job,) = world.jobs().values()
    assert said.out.startswith(f"posted 0x{job.id.hex()}\n3 tUSD are put aside")
    for part in (
        "public: anybody can read this job's input, its model and the trace",
        f"prove a wrong element to {world.fault_proof.address}",
        "9 tUSD or three times its price",
        "at most 3 tUSD all in, of which at most 0.17 tUSD to the keeper",
        "D: a claim is final at most 15s after it was made",
        "latest end:",
    ):
        assert part in said.err
    assert job.terms.requester == ada.address
    assert (job.terms.units, job.terms.price_cap) == (8, 3 * UNIT)
    assert ada.free() == 97 * UNIT
    assert world.store.tensor_shape(job.terms.input_id) == (8, 16)


def test_several_inputs_make_a_job_each(world: World, ada: Player) -> None:
    rows = world.folder / "more.csv"
    rows.write_text("".join(reversed(local.example_images().splitlines(keepends=True))))
    data = ada.json("post", ada.job(input="[images.csv, more.csv]"))
    assert len(data["posted"]) == len(world.jobs()) == 2
    assert data["held"] == "6"
    assert ada.free() == 94 * UNIT


def test_a_dry_run_sends_nothing_and_shows_what_a_wallet_would(world: World, ada: Player) -> None:
    data = ada.json("post", ada.job(), "--dry-run")
    assert world.jobs() == {}
    (call,) = data["calls"]
    assert call["to"] == world.escrow.address
    words = [int(word, 16) for word in call["words"].values()]
    assert call["calldata"][10:] == "".join(word.to_bytes(32).hex() for word in words)
    # Sent by hand it is the job of that id.
    data_ = bytes.fromhex(call["calldata"][2:])
    local.send(world.rpc, ada.key, Call(call["to"], data_, "by hand"))
    assert [f"0x{job_id.hex()}" for job_id in world.jobs()] == [call["job"]]


def test_a_dry_run_needs_no_key(world: World, ada: Player) -> None:
    other = world.fault_proof.address
    data = ada.json("post", ada.job(), "--dry-run", "--from", other)
    assert data["requester"] == other
    typed = ada.json("post", ada.job(), "--dry-run", "--sign-only")["typed_data"]
    assert typed["primaryType"] == "Terms"
    assert typed["message"]["price_cap"] == 3 * UNIT
    assert ada.run("post", ada.job(), "--from", other, code=2).err.startswith("usage: --from goes")


def test_a_signed_bid_is_on_the_board_and_can_be_matched(
    world: World, ada: Player, bob: Player
) -> None:
    data = ada.json("post", ada.job(), "--sign-only")
    assert world.jobs() == {}
    assert ada.free() == 100 * UNIT
    (bid,) = world.board.list("bid")
    assert "0x" + bid.name == data["bid"] == data["jobs"][0]
    assert ada.json("status", data["bid"][:10])["state"] == "signed"
    values = {
        name: bytes.fromhex(value[2:]) if name in ("program", "input_id") else value
        for name, value in bid.payload["terms"].items()
    }
    terms, ask = Terms(**values), world.offer(bob)
    call = world.escrow.match(
        terms, bytes.fromhex(data["signature"][2:]), ask.ask, ask.signature, [], []
    )
    local.send(world.rpc, bob.key, call)
    assert ada.json("status", data["bid"])["state"] == "matched"


def test_a_signed_batch_is_one_bid(world: World, ada: Player) -> None:
    (world.folder / "more.csv").write_text(local.example_images().replace("1", "2"))
    data = ada.json("post", ada.job(input="[images.csv, more.csv]"), "--sign-only")
    assert len(data["jobs"]) == 2
    assert data["bid"] not in data["jobs"]
    status = ada.json("status", data["bid"])
    assert status["members"] == data["inputs"]
    assert ada.run("cancel", data["bid"], code=2).err.startswith("usage: it is a batch")


@pytest.mark.parametrize(
    ("changes", "line", "complaint"),
    [
        ({"model": "digitz"}, 1, "model: 'digitz' is no program id and no name here"),
        ({"model": "0x" + "12" * 32}, 1, "model: nobody has registered it"),
        ({"input": "missing.csv"}, 2, "input: 'missing.csv' is no input's id"),
        (
            {"input": "0x" + "12" * 32},
            2,
            f"input: 0x{'12' * 32} isn't in the store, so `units` has to",
        ),
        ({"input": "[images.csv, images.csv]"}, 2, "input: the same input is listed twice"),
        ({"units": "9"}, 6, "units: images.csv has 8 rows"),
        ({"price": "{cap: 1.2345678}"}, 4, "price.cap: the token has 6 decimals"),
        ({"prize": "3"}, 6, "prize: is not a field here; did you mean price?"),
        ({"needs": "{gpu: RTX 4091}"}, 6, "needs.gpu: 'RTX 4091' is unknown"),
    ],
)
def test_a_malformed_job_file_names_line_and_field(
    ada: Player, changes: dict[str, str], line: int, complaint: str
) -> None:
    path = ada.job(**changes)
    said = ada.run("post", path, code=2)
    assert said.err.startswith(f"usage: {path}:{line}: {complaint[:20]}")
    assert complaint in said.err


def test_texts_are_for_models_whose_card_names_a_tokenizer(world: World, ada: Player) -> None:
    (world.folder / "texts.txt").write_text("A cat sleeps.\n")
    path = ada.job(input="texts.txt")
    assert "the model's card names no tokenizer" in ada.run("post", path, code=2).err


def test_a_job_over_texts_as_people_have_them(world: World, ada: Player) -> None:
    ada.run("model", "add", "minilm", "--name", "encoder")
    (world.folder / "texts.txt").write_text("A cat sleeps on the sill.\nThe river is high.\n")
    path = ada.job(model="encoder", input="texts.txt")
    # The chain's own quote refuses a model that nobody says to keep a copy of.
    assert "headrace model mirror" in ada.run("post", path, code=1).err
    ada.run("model", "mirror", "encoder", "https://models.example/encoder")
    (listed,) = [each for each in ada.json("model", "list")["models"] if each["name"] == "encoder"]
    assert listed["mirrors"] == 1
    ada.run("post", path)
    (job,) = world.jobs().values()
    assert job.terms.verifier == world.deployment.address("GraphProof")
    assert job.terms.units == 2


def test_a_job_file_that_is_no_yaml(ada: Player) -> None:
    path = ada.write("job.yaml", "model: [a\n")
    assert ada.run("post", path, code=2).err.startswith(f"usage: {path}:2: not YAML")
    assert "can't be read: No such file" in ada.run("post", "nowhere.yaml", code=2).err


def test_a_corrupt_input_is_not_posted(world: World, ada: Player) -> None:
    made = ada.json("input", "add", str(world.folder / "images.csv"), "--name", "mine")
    digits = made["input"][2:]
    place = world.folder / "store" / "tensors" / digits[:2] / digits
    place.write_bytes(place.read_bytes()[:-1])
    said = ada.run("post", ada.job(input="mine"), code=2)
    assert "input: blob" in said.err
    place.write_bytes(b"")
    assert "the file is empty" in ada.run("post", ada.job(input="mine"), code=2).err
    assert world.jobs() == {}


def test_an_input_that_is_elsewhere_can_be_posted(world: World, ada: Player) -> None:
    data = ada.json("post", ada.job(input="0x" + "34" * 32, units="5"))
    assert any("providers who can't fetch it will decline" in note for note in data["notices"])
    (job,) = world.jobs().values()
    assert (job.terms.input_id, job.terms.units) == (bytes([0x34]) * 32, 5)


@pytest.mark.parametrize(
    ("changes", "reason", "advice"),
    [
        ({"check": "{window: 1s, reply: 5s, follow: 5s}"}, "proof: window out of bounds", "check."),
        ({"time": "{attempt: 2h}"}, "terms: bad attempt_seconds", "shorten it"),
        ({"units": "2000", "input": "0x" + "34" * 32}, "proof: units out of range", "split"),
    ],
)
def test_terms_that_the_contracts_refuse(
    ada: Player, changes: dict[str, str], reason: str, advice: str
) -> None:
    said = ada.run("post", ada.job(**changes), "--json", code=1)
    assert said.error["kind"] == "refused"
    assert said.error["reason"] == reason
    assert advice in said.error["advice"]


def test_a_post_without_money_or_authorisation(world: World) -> None:
    poor = world.player("poor", books=1)
    said = poor.run("post", poor.job(), code=1)
    assert "vault: not enough to reserve: 1 jobs need 3 tUSD, 0 tUSD are free" in said.err
    assert "headrace deposit" in said.err
    shy = world.player("shy", deposit=10)
    said = shy.run("post", shy.job(), "--json", code=1)
    assert said.error["reason"] == "vault: book not authorised"
    assert "headrace authorise" in said.error["advice"]


def test_an_account_without_gas(world: World, ada: Player) -> None:
    world.rpc.call("anvil_setBalance", ada.address, "0x0")
    said = ada.run("post", ada.job(), code=1)
    assert "has no money for gas" in said.err


# ---- status


def test_a_job_through_its_life(world: World, ada: Player, bob: Player) -> None:
    job_id = post(ada)
    open_ = ada.json("status", job_id[:8])
    terms = world.job(job_id).terms
    assert (open_["state"], open_["next_deadline"]) == ("open", terms.final_deadline)
    assert [move["who"] for move in open_["moves"]] == ["any keeper", "its requester", "anyone"]

    record = world.match(bob, job_id, world.offer(bob)).record
    running = ada.json("status", job_id)
    assert (running["state"], running["provider"]) == ("matched", bob.address)
    assert running["next_deadline"] == record.matched_at + 20
    assert [move["what"] for move in running["moves"]] == [
        "decline it",
        "claim its result",
        "expire the attempt",
    ]

    world.claim(bob, job_id, world.trace(job_id))
    claimed = ada.json("status", job_id)
    assert claimed["state"] == "claimed"
    assert claimed["next_deadline"] == claimed["claimed_at"] + 5
    text = ada.run("status", job_id).out
    assert "there is a result; it isn't final yet" in text
    assert "anyone may prove a wrong element until" in text

    world.finalise(bob, job_id)
    final = ada.json("status", job_id)
    assert (final["state"], final["moves"], final["next_deadline"]) == ("final", [], None)
    assert final["attempts"][0]["outcome"] == "final"


def test_an_overdue_attempt_and_its_slash(world: World, ada: Player, bob: Player) -> None:
    job_id = post(ada)
    record = world.match(bob, job_id, world.offer(bob)).record
    world.chain.travel(62)
    assert ada.run("status", job_id).out.splitlines()[1].split()[1] == "overdue:"
    local.send(world.rpc, ada.key, world.escrow.expire(bytes.fromhex(job_id[2:]), record))
    status = ada.json("status", job_id)
    assert status["state"] == "open"
    assert status["excluded"] == [bob.address]
    assert "waits for another provider: the last one didn't deliver" in status["sentence"]
    slashed = status["attempts"][0]
    assert slashed["outcome"] == "expired"
    assert slashed["slash"] != "0"
    assert ada.json("invoice", job_id)["damages_received"] == slashed["to_requester"]


def test_the_list_of_jobs(world: World, ada: Player, bob: Player) -> None:
    first, second = post(ada), post(ada)
    bid = ada.json("post", ada.job(), "--sign-only")["bid"]
    listed = ada.json("status")
    assert [job["job"] for job in listed["jobs"]] == [first, second]
    assert listed["bids"] == [bid]
    assert bob.json("status")["jobs"] == []
    assert len(bob.json("status", "--all")["jobs"]) == 2
    assert "no job yet" in bob.run("status").out
    lines = ada.run("status").out.splitlines()
    assert [line.split()[1] for line in lines[1:]] == ["open", "open", "signed"]


def test_references_to_jobs(ada: Player) -> None:
    job_id = post(ada)
    assert ada.json("status", job_id[2:9])["job"] == job_id
    assert ada.json("status", job_id.upper().replace("0X", "0x"))["job"] == job_id
    assert "at least 4 of its digits" in ada.run("status", job_id[:4], code=2).err
    assert "is no job" in ada.run("status", "quadrants", code=2).err
    other = "0x" + ("1" if job_id[2] != "1" else "2") * 8
    assert "no job" in ada.run("status", other, code=2).err


# ---- result


def test_a_result_and_whether_it_is_final(world: World, ada: Player, bob: Player) -> None:
    job_id = post(ada)
    assert "it waits for an offer" in ada.run("result", job_id, code=1).err
    world.match(bob, job_id, world.offer(bob))
    world.claim(bob, job_id, world.trace(job_id))
    early = ada.json("result", job_id)
    assert (early["is_final"], early["rows"]) == (False, [[0], [1], [2], [3]] * 2)
    assert "NOT FINAL YET before" in ada.run("result", job_id).out
    assert ada.run("result", job_id, "--wait", "1", code=3).err.startswith("unreachable: not final")
    world.finalise(bob, job_id)
    out = world.folder / "result.json"
    late = ada.json("result", job_id, "--wait", "5", "--out", str(out))
    assert (late["is_final"], late["rows"]) == (True, None)
    assert json.loads(out.read_text()) == [[0], [1], [2], [3]] * 2
    assert ada.run("result", job_id).out.startswith("final: ")
    assert "--out" in ada.run("result", job_id, "--out", "result.txt", code=2).err


def test_a_result_that_is_missing_or_corrupt(world: World, ada: Player, bob: Player) -> None:
    job_id = world.run_job(ada, bob)
    root = world.job(job_id).commitment
    assert root is not None
    place = world.folder / "store" / "results" / root.hex()[:2] / root.hex()
    good = place.read_bytes()
    place.write_bytes(good[:-40] + bytes([good[-40] ^ 1]) + good[-39:])
    assert ada.run("result", job_id, "--json", code=1).error["kind"] == "refused"
    place.unlink()
    assert ada.run("result", job_id, "--json", code=3).error["kind"] == "unreachable"


# ---- cancel, revoke


def test_cancel_frees_the_money(world: World, ada: Player, bob: Player) -> None:
    job_id = post(ada)
    assert ada.json("cancel", job_id[:12])["freed"] == "3"
    assert ada.free() == 100 * UNIT
    assert world.job(job_id).state == JobState.CANCELLED
    said = ada.run("cancel", job_id, "--json", code=1)
    assert said.error["reason"] == "escrow: job is not open"
    assert "headrace status" in said.error["advice"]
    theirs = post(ada)
    said = bob.run("cancel", theirs, "--json", code=1)
    assert said.error["reason"] == "escrow: before final deadline"


def test_cancel_takes_back_a_signed_bid(world: World, ada: Player) -> None:
    bid = ada.json("post", ada.job(), "--sign-only")["bid"]
    assert ada.json("cancel", bid)["freed"] == "0"
    assert world.board.names("bid") == ()
    assert ada.json("status", bid)["state"] == "revoked"
    assert "revoked already" in ada.run("cancel", bid, code=1).err


def test_revoke_takes_back_all_bids(world: World, ada: Player, bob: Player) -> None:
    bid = ada.json("post", ada.job(), "--sign-only")["bid"]
    theirs = bob.json("post", bob.job(), "--sign-only")["bid"]
    data = ada.json("revoke")
    assert (data["epoch"], data["removed"]) == (1, 1)
    assert world.board.names("bid") == (theirs[2:],)
    assert world.escrow.bid_epoch(ada.address) == 1
    assert "no job" in ada.run("status", bid, code=2).err
    # A new one is of the new epoch, and so good again.
    again = ada.json("post", ada.job(), "--sign-only")["bid"]
    assert ada.json("status", again)["state"] == "signed"


# ---- invoice


def test_an_invoice_in_words(world: World, ada: Player, bob: Player) -> None:
    job_id = world.run_job(ada, bob)
    assert ada.json("invoice", job_id)["status"] == "nothing charged yet"
    world.finalise(bob, job_id)
    said = ada.run("invoice", job_id).out
    bill = ada.json("invoice", job_id)
    assert f"Invoice for job {job_id}" in said
    assert f"total{bill['total']:>31}" in said
    assert [move["what"].split(":")[0].split()[0] for move in bill["moves"]] == [
        "posted",
        "matched",
        "claimed",
        "final",
    ]
    held = 3 * UNIT - sum(_units(bill[name]) for name in ("price", "tip", "levy", "charge"))
    assert f"{_text(held)} tUSD back" in bill["moves"][1]["what"]
    assert len({move["tx"] for move in bill["moves"]}) == 4
    assert bill["provider"] == bill["keeper"] == bob.address


def test_an_invoice_of_a_job_that_came_to_nothing(ada: Player) -> None:
    job_id = post(ada)
    ada.run("cancel", job_id)
    bill = ada.json("invoice", job_id)
    assert (bill["total"], bill["status"]) == ("0", "nothing charged: all of it came back")
    assert [move["what"] for move in bill["moves"]] == [
        "posted: 3 tUSD put aside",
        "cancelled: 3 tUSD back",
    ]
    bid = ada.json("post", ada.job(), "--sign-only")["bid"]
    assert "nothing to bill" in ada.run("invoice", bid, code=1).err


# ---- why


def test_why_in_sentences(world: World, ada: Player, bob: Player) -> None:
    job_id = post(ada, needs="{gpu: H100 80GB, vram: 60, region: us-east}")
    # Without an ask there is still what the node itself lacks.
    node = f"{bob.address}/0"
    bare = ada.json("why", job_id, node)
    assert (bare["asks"], bare["provider_bits"]) == (0, None)
    assert [reason["name"] for reason in bare["reasons"]] == ["gpu_model", "vram", "region"]
    world.offer(bob, max_units=4, min_attempt_seconds=90)
    found = ada.json("why", job_id, bob.address)
    assert not found["fits"]
    assert [(reason["side"], reason["name"]) for reason in found["reasons"]] == [
        ("requester", "gpu_model"),
        ("requester", "vram"),
        ("requester", "region"),
        ("provider", "units"),
        ("provider", "attempt_seconds"),
    ]
    text = ada.run("why", job_id, node).out
    assert "what the job wants:\n- the node's GPU model isn't among those asked for" in text
    assert "what the offer allows:\n- the job has more units of work than the ask allows" in text


def test_why_for_a_job_file_and_for_what_fits(world: World, ada: Player, bob: Player) -> None:
    world.offer(bob)
    found = ada.json("why", ada.job(), bob.address)
    assert (found["fits"], found["reasons"]) == (True, [])
    assert "it fits now, for 0.6" in ada.run("why", ada.job(), bob.address).out
    later = ada.run("why", ada.job(price="{start: 0.1, cap: 3, ramp: 30s}"), bob.address).out
    assert "it will fit from" in later
    assert "offer costs more than the ramp allows now" in later


def test_why_with_a_node_that_is_none(ada: Player) -> None:
    job_id = post(ada)
    assert "is neither an address nor an account" in ada.run("why", job_id, "zed", code=2).err
    assert "ADDRESS/INDEX" in ada.run("why", job_id, ada.address + "/x", code=2).err
    stranger = ada.json("why", job_id, ada.address)
    assert "not_active" in [reason["name"] for reason in stranger["reasons"]]


def test_the_job_id_is_the_one_that_a_wallet_signs(world: World, ada: Player) -> None:
    job_id = post(ada)
    terms = world.job(job_id).terms
    assert job_id == "0x" + eip712.job_id(terms, world.domain).hex()


def test_the_example_of_up_is_a_good_job_file(world: World, ada: Player) -> None:
    (world.folder / "example.yaml").write_text(local.JOB_FILE)
    data = ada.json("quote", str(world.folder / "example.yaml"))
    assert data["units"] == 8
    assert Path(world.folder / "images.csv").read_text() == local.example_images()
    assert job_text(model="x").startswith("model: x\n")


def _units(text: str) -> int:
    whole, _, rest = text.partition(".")
    return int(whole) * UNIT + int(rest.ljust(6, "0"))


def _text(units: int) -> str:
    whole, rest = divmod(units, UNIT)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")
