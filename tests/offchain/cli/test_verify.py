"""`headrace verify`: right, wrong with or without its trace in the store, not there yet."""

from tests.offchain.cli.players import Player, World


def _posted(world: World, ada: Player, bob: Player) -> str:
    job_id = str(ada.json("post", ada.job())["posted"][0]["job"])
    world.match(bob, job_id, world.offer(bob))
    return job_id


def test_a_right_claim(world: World, ada: Player, bob: Player) -> None:
    job_id = world.run_job(ada, bob)
    told = ada.json("verify", job_id, "--operators")
    assert told["is_right"]
    assert told["commitment"] == told["right"]
    assert [row["wrong"] for row in told["operators"]] == [0] * len(world.model.operators)
    assert told["elements"] == sum(row["elements"] for row in told["operators"])
    assert "right: every element" in ada.run("verify", job_id).out


def test_a_lie_is_shown_where_it_begins(world: World, ada: Player, bob: Player) -> None:
    job_id = _posted(world, ada, bob)
    right = world.trace(job_id)
    lie = right.replace(0, 1, 3, (right.rows[0][1][3] + 1) % 256)
    world.claim(bob, job_id, lie)
    told = ada.json("verify", job_id, code=1)
    assert not told["is_right"]
    assert told["right"] == "0x" + right.root.hex()
    (first,) = told["operators"]
    assert (first["operator"], first["wrong"]) == (0, 1)
    (shown,) = first["first"]
    assert (shown["row"], shown["column"]) == (1, 3)
    assert shown["right"] == int(right.tensor(0)[1, 3])
    assert shown["claimed"] == int(lie.tensor(0)[1, 3])
    assert "row 1, column 3" in ada.run("verify", job_id, code=1).out


def test_a_withheld_lie_is_wrong_all_the_same(world: World, ada: Player, bob: Player) -> None:
    job_id = _posted(world, ada, bob)
    right = world.trace(job_id)
    lie = right.replace(0, 1, 3, (right.rows[0][1][3] + 1) % 256)
    world.claim(bob, job_id, lie)
    for path in (world.folder / "store" / "traces").rglob("*"):
        if path.is_file() and lie.root.hex() in path.name:
            path.unlink()
    told = ada.json("verify", job_id, code=1)
    assert (told["is_right"], told["has_trace"], told["operators"]) == (False, False, [])
    assert "has to demand it" in ada.run("verify", job_id, code=1).out


def test_a_lie_in_the_padding(world: World, ada: Player, bob: Player) -> None:
    job_id = _posted(world, ada, bob)
    right = world.trace(job_id)
    last = len(world.model.operators) - 1
    world.claim(bob, job_id, right.replace(last, 0, 31, 7))
    assert "WRONG in what pads" in ada.run("verify", job_id, code=1).out


def test_without_a_claim_there_is_nothing_to_verify(world: World, ada: Player) -> None:
    job_id = str(ada.json("post", ada.job())["posted"][0]["job"])
    assert "nobody has delivered" in ada.run("verify", job_id, code=1).err
