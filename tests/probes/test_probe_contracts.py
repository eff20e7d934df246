"""What every probe promises, whatever it finds: the contract of `LinearProbe`, executed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.base import ClassifierMixin
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

import probes
from probes import LEACE, REGISTRY, LinearProbe

NAMES = sorted(REGISTRY)
FINDERS = [name for name in NAMES if name != "random_direction"]
WITH_GROUPS = [name for name in NAMES if "groups" in REGISTRY[name].uses]
WITH_POLARITY = [name for name in NAMES if "polarity" in REGISTRY[name].uses]


@parametrize_with_checks(
    [
        *(kind() for kind in REGISTRY.values()),
        *(kind(covariance) for kind in (probes.LDA, LEACE) for covariance in ("oas", "pinv")),
        LEACE(),
    ]
)
def test_scikit_learn_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def test_every_exported_classifier_is_registered() -> None:
    exported = [getattr(probes, name) for name in probes.__all__]
    kinds = {
        kind for kind in exported if inspect.isclass(kind) and issubclass(kind, ClassifierMixin)
    }
    classifiers = kinds - {LinearProbe}
    assert classifiers == set(REGISTRY.values())
    assert all(issubclass(kind, LinearProbe) for kind in classifiers)


@pytest.mark.parametrize("name", NAMES)
def test_uses_is_what_fit_takes(name: str) -> None:
    parameters = inspect.signature(REGISTRY[name].fit).parameters.values()
    keywords = {p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert REGISTRY[name].uses == keywords


@pytest.mark.parametrize("name", NAMES)
def test_score_is_one_line_in_the_given_features(name: str, plant: Any) -> None:
    train, test = plant(form=2.0), plant(seed=1)
    probe = REGISTRY[name]().fit(train.X, train.y, **train.held(REGISTRY[name]))
    assert probe.coef_.shape == (1, 12)
    assert probe.intercept_.shape == (1,)
    scores = probe.decision_function(test.X)
    np.testing.assert_allclose(scores, (test.X @ probe.coef_.T + probe.intercept_)[:, 0])
    np.testing.assert_array_equal(probe.predict(test.X), (scores > 0).astype(int))


@pytest.mark.parametrize("name", FINDERS)
@pytest.mark.parametrize("labels", [("dishonest", "honest"), (False, True), (-1, 1)])
def test_higher_is_the_second_class(name: str, labels: tuple[Any, Any], plant: Any) -> None:
    train, test = plant(form=2.0), plant(seed=1, form=2.0)
    y = np.array(labels)[train.y]
    probe = REGISTRY[name]().fit(train.X, y, **train.held(REGISTRY[name]))
    assert roc_auc_score(test.y, probe.decision_function(test.X)) > 0.97
    assert probe.score(test.X, np.array(labels)[test.y]) > 0.9


@pytest.mark.parametrize("name", FINDERS)
def test_exchanged_labels_give_the_negative_score(name: str, plant: Any, cosine: Any) -> None:
    data = plant()
    one, other = (
        REGISTRY[name]().fit(data.X, y, **data.held(REGISTRY[name])).decision_function(data.X)
        for y in (data.y, 1 - data.y)
    )
    assert cosine(one, other) == pytest.approx(-1.0, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_order_of_rows_does_not_matter(name: str, plant: Any) -> None:
    data = plant()
    order = np.random.default_rng(5).permutation(len(data.y))
    mixed = data.rows(order)
    one, other = (
        REGISTRY[name]().fit(part.X, part.y, **part.held(REGISTRY[name])) for part in (data, mixed)
    )
    expected = one.decision_function(data.X)
    np.testing.assert_allclose(
        other.decision_function(data.X), expected, atol=1e-4 * np.abs(expected).max()
    )


@pytest.mark.parametrize("name", NAMES)
def test_float32_rows_give_the_float64_score(name: str, plant: Any) -> None:
    data = plant()
    single = data.X.astype(np.float32)
    held = data.held(REGISTRY[name])
    exact = REGISTRY[name]().fit(data.X, data.y, **held).decision_function(data.X)
    rounded = REGISTRY[name]().fit(single, data.y, **held).decision_function(single)
    assert rounded.dtype == np.float64
    np.testing.assert_allclose(rounded, exact, atol=1e-4 * np.abs(exact).max())


@pytest.mark.parametrize("name", FINDERS)
@pytest.mark.parametrize("value", [0.0, 0.1, -7e4])
def test_constant_feature_gets_no_weight(name: str, value: float, plant: Any) -> None:
    """0.1 is not exact in binary: its computed deviations are 1e-17 and not 0."""
    data = plant()
    X = np.column_stack([data.X, np.full(len(data.y), value)])
    probe = REGISTRY[name]().fit(X, data.y, **data.held(REGISTRY[name]))
    assert abs(probe.coef_[0, -1] * value) < 1e-8 * np.abs(probe.decision_function(X)).max()
    assert roc_auc_score(data.y, probe.decision_function(X)) > 0.97


@pytest.mark.parametrize("name", FINDERS)
def test_more_features_than_rows(name: str, plant: Any) -> None:
    train, test = plant(groups=20, d=200, general=15.0), plant(seed=1, d=200, general=15.0)
    probe = REGISTRY[name]().fit(train.X, train.y, **train.held(REGISTRY[name]))
    assert roc_auc_score(test.y, probe.decision_function(test.X)) > 0.97


@pytest.mark.parametrize("name", NAMES)
def test_two_rows_are_enough(name: str) -> None:
    probe = REGISTRY[name]().fit([[1.0, 0.0, 3.0], [0.0, 0.0, 3.0]], [1, 0])
    assert np.isfinite(probe.coef_).all()
    if name in FINDERS:
        assert probe.predict([[2.0, 0.0, 3.0], [-1.0, 0.0, 3.0]]).tolist() == [1, 0]


@pytest.mark.parametrize("name", FINDERS)
def test_rows_that_do_not_differ_get_no_weights(name: str) -> None:
    held = {"groups": [0, 0, 1, 1], "polarity": None}
    kwargs = {key: held[key] for key in REGISTRY[name].uses}
    probe = REGISTRY[name]().fit(np.full((4, 3), 0.1), [1, 0, 1, 0], **kwargs)
    np.testing.assert_allclose(probe.coef_, 0.0, atol=1e-12)
    assert np.isfinite(probe.intercept_).all()


@pytest.mark.parametrize("name", [*NAMES, "leace"])
def test_bad_rows_and_labels_are_refused(name: str) -> None:
    kind = REGISTRY.get(name, LEACE)
    X = np.arange(12.0).reshape(6, 2)
    with pytest.raises(ValueError, match="contains NaN"):
        kind().fit(np.where(X == 5.0, np.nan, X), [0, 1, 0, 1, 0, 1])
    with pytest.raises(ValueError, match="one class"):
        kind().fit(X, [1] * 6)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        kind().fit(X, [0, 1])
    fitted = kind().fit(X, [0, 1, 0, 1, 0, 1])
    apply = fitted.transform if isinstance(fitted, LEACE) else fitted.decision_function
    with pytest.raises(ValueError, match="contains NaN"):
        apply([[np.nan, 0.0]])
    with pytest.raises(ValueError, match="3 features"):
        apply([[0.0, 0.0, 0.0]])


@pytest.mark.parametrize("name", NAMES)
def test_third_class_is_refused_by_number(name: str) -> None:
    with pytest.raises(ValueError, match="3 classes"):
        REGISTRY[name]().fit(np.arange(6.0).reshape(3, 2), [0, 1, 2])


@pytest.mark.parametrize("name", WITH_GROUPS)
@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([0, 0, 1], "shape .3,."),
        ([0, 0, 1, 2], "2 of 3 groups hold rows of one label only .first: .*1"),
        (["a", "a", None, "b"], "misses a value at row 2"),
        ([0.0, 0.0, 1.0, np.nan], "misses a value at row 3"),
    ],
)
def test_bad_groups_are_refused(name: str, groups: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        REGISTRY[name]().fit(np.arange(8.0).reshape(4, 2), [0, 1, 0, 1], **{"groups": groups})


@pytest.mark.parametrize("name", WITH_GROUPS)
def test_groups_that_cannot_be_sorted_are_refused(name: str) -> None:
    mixed = np.array(["a", "a", 1, 1], dtype=object)
    with pytest.raises(TypeError, match="strings or integers"):
        REGISTRY[name]().fit(np.arange(8.0).reshape(4, 2), [0, 1, 0, 1], **{"groups": mixed})


@pytest.mark.parametrize("name", WITH_POLARITY)
@pytest.mark.parametrize(
    ("polarity", "message"),
    [
        ([1, 1, -1], "shape .3,."),
        ([1, 1, 2, 2], "polarity holds 2;"),
        (["yes", "yes", "no", "no"], "polarity holds 'no';"),
        ([1, -1, 1, -1], "all rows of polarity -1 have one label"),
        ([1.0, 1.0, np.nan, -1.0], "misses a value at row 2"),
    ],
)
def test_bad_polarities_are_refused(name: str, polarity: list[Any], message: str) -> None:
    kwargs: dict[str, Any] = {"polarity": polarity}
    if "groups" in REGISTRY[name].uses:
        kwargs["groups"] = [0, 0, 0, 0]
    with pytest.raises(ValueError, match=message):
        REGISTRY[name]().fit(np.arange(8.0).reshape(4, 2), [0, 1, 0, 1], **kwargs)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (probes.LogisticRegression(C=0.0), "C=0.0"),
        (probes.TTPD(C=-1.0), "C=-1.0"),
        (probes.CCS(alpha=0.0), "alpha=0.0"),
        (probes.CCS(restarts=0), "restarts=0"),
        (probes.PolarityCCS(restarts=1.5), "restarts=1.5"),  # pyright: ignore[reportArgumentType]
        (probes.PolarityCCS(strength=-1.0), "strength=-1.0"),
        (probes.LDA(covariance="full"), "'full'.* 'pinv'"),  # pyright: ignore[reportArgumentType]
        (LEACE(covariance="full"), "'full'.* 'pinv'"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_bad_parameters_are_refused_by_name_and_value(estimator: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimator.fit([[0.0], [1.0], [0.5], [2.0]], [0, 1, 0, 1])


def test_probes_need_neither_torch_nor_repalign() -> None:
    code = (
        "import sys, probes; "
        "print([name for name in ('torch', 'transformers', 'repalign') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
