from headrace.graph2.model import Model
from tests.harness import Account, Chain, Contract, reverts
from tests.unit.graph_models.conftest import register


def test_enough_accounts_make_it_eligible(chain: Chain, models: Contract, model: Model):
    program = register(models, model)
    first, second = chain.accounts[4:6]
    assert not models.is_eligible(program)
    receipt = models.list_mirror(program, "https://a.example/m", sender=first)
    assert receipt.only("MirrorListed") == (program, first.address, "https://a.example/m")
    assert models.is_mirror(program, first)
    assert not models.is_mirror(program, second)
    assert not models.is_eligible(program)
    assert models.limits(program)[2] is False
    models.list_mirror(program, "https://b.example/m", sender=second)
    assert models.is_eligible(program)
    assert models.limits(program)[2] is True
    assert models.model_of(program).mirrors == 2


def test_an_account_counts_once(models: Contract, model: Model, mirror: Account):
    program = register(models, model)
    for url in ("a", "b"):
        models.list_mirror(program, url, sender=mirror)
    assert models.model_of(program).mirrors == 1


def test_unlisting(models: Contract, model: Model, mirror: Account, chain: Chain):
    program = register(models, model)
    models.list_mirror(program, "a", sender=mirror)
    with reverts("models: no mirror of yours"):
        models.unlist_mirror(program, sender=chain.accounts[7])
    receipt = models.unlist_mirror(program, sender=mirror)
    assert receipt.only("MirrorUnlisted") == (program, mirror.address)
    assert models.model_of(program).mirrors == 0
    assert models.facts(program)[0] == model.graph_root
    with reverts("models: no mirror of yours"):
        models.unlist_mirror(program, sender=mirror)


def test_listing_is_refused(models: Contract, model: Model, mirror: Account):
    with reverts("graph: model not registered"):
        models.list_mirror(b"\x01" * 32, "a", sender=mirror)
    program = register(models, model)
    with reverts("models: url is empty"):
        models.list_mirror(program, "", sender=mirror)
    models.list_mirror(program, "u" * 256, sender=mirror)


def test_bounds_of_the_constructor(chain: Chain):
    with reverts("models: bad min_mirrors"):
        chain.deploy("GraphModels", 2**24)
    assert chain.deploy("GraphModels", 2**24 - 1).MIN_MIRRORS() == 2**24 - 1


def test_none_may_be_needed(chain: Chain, model: Model):
    models = chain.deploy("GraphModels", 0)
    assert not models.is_eligible(model.program)
    assert models.is_eligible(register(models, model))
