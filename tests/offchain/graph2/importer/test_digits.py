"""The three digits models: as good as their float networks, the same bytes at each build."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import GradientBoostingClassifier

from headrace.graph.errors import ModelError
from headrace.graph2 import numpy_backend, reference
from headrace.graph2.importer import digits
from headrace.graph2.importer.forest import import_forest

BUILDERS = {
    "digits-mlp": digits.build_mlp,
    "digits-cnn": digits.build_cnn,
    "digits-forest": digits.build_forest,
}


@pytest.mark.parametrize("name", BUILDERS)
def test_accuracy_is_within_a_point_of_the_float_one(name: str) -> None:
    found = BUILDERS[name]()
    assert found.float_accuracy > 0.94
    assert abs(found.integer_accuracy - found.float_accuracy) <= 0.01
    assert found.agreement >= 0.99
    assert found.card.name == name
    assert found.card.accuracy["integer"] == round(found.integer_accuracy, 6)


@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn"])
def test_the_reference_says_the_same(name: str) -> None:
    model = BUILDERS[name]().model
    images = digits.load_images().held_out[:1]
    expected = reference.run(model, images.tolist())
    for found, slow in zip(numpy_backend.run(model, images), expected, strict=True):
        assert found.tolist() == slow


def test_the_same_build_twice() -> None:
    first = digits.build_mlp().model.program
    digits.build_mlp.cache_clear()
    assert digits.build_mlp().model.program == first


@pytest.fixture(scope="module")
def small() -> tuple[GradientBoostingClassifier, np.ndarray]:
    rng = np.random.default_rng(3)
    x = rng.integers(-128, 128, (300, 5)).astype(np.int8)
    labels = (x[:, 0] > 20).astype(int) + (x[:, 1].astype(int) + x[:, 2] > 0)
    forest = GradientBoostingClassifier(n_estimators=4, max_depth=3, random_state=0)
    return forest.fit(x, labels), x


def test_comparisons_are_exact_on_both_sides_of_every_threshold(
    small: tuple[GradientBoostingClassifier, np.ndarray],
) -> None:
    forest, x = small
    model = import_forest(forest, 5, max_units=4_096).model
    thresholds = {
        (int(tree.tree_.feature[at]), float(tree.tree_.threshold[at]))
        for stage in forest.estimators_
        for tree in stage
        for at in range(tree.tree_.node_count)
        if tree.tree_.children_left[at] >= 0
    }
    rows = []
    for feature, threshold in thresholds:
        for value in (int(np.floor(threshold)), int(np.floor(threshold)) + 1):
            row = x[0].copy()
            row[feature] = np.clip(value, -128, 127)
            rows.append(row)
    asked = np.array(rows, dtype=np.int8)
    reached = numpy_backend.run(model, asked)[1]
    leaves = forest.apply(asked).astype(int)  # (n, stages, classes)
    # every tree reaches exactly one leaf, and trees differ exactly where sklearn says so
    assert (reached.sum(axis=1) == leaves.shape[1] * leaves.shape[2]).all()
    same = (leaves[:, None] == leaves[None]).all(axis=(2, 3))
    found = (reached[:, None] == reached[None]).all(axis=2)
    np.testing.assert_array_equal(found, same)


@given(st.integers(0, 2**32 - 1))
def test_votes_are_near_the_forest_s_own(
    small: tuple[GradientBoostingClassifier, np.ndarray], seed: int
) -> None:
    forest, _ = small
    x = np.random.default_rng(seed).integers(-128, 128, (8, 5)).astype(np.int8)
    imported = import_forest(forest, 5)
    real = forest.decision_function(x)
    found = imported.run(x)
    best = np.sort(real, axis=1)
    clear = best[:, -1] - best[:, -2] > 0.02
    np.testing.assert_array_equal(found[clear], real.argmax(axis=1)[clear])


def test_forests_that_cannot_be_expressed() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (60, 3))
    for labels, message in ((x[:, 0] > 0, "three classes"), (x[:, 0] % 3 + 1, "three classes")):
        forest = GradientBoostingClassifier(n_estimators=1).fit(x, labels.astype(int))
        with pytest.raises(ModelError, match=message):
            import_forest(forest, 3)
    large = GradientBoostingClassifier(n_estimators=300, max_depth=3, max_features=1)
    x = rng.integers(-128, 128, (400, 3))
    with pytest.raises(ModelError, match="doesn't fit"):
        import_forest(large.fit(x, rng.integers(0, 3, 400)), 3)
