import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic import WIDTH, activations

from repalign.errors import InputError
from repalign.metrics import auroc
from repalign.probing.pooling import example_auroc, fit_pooled
from repalign.probing.transfer import judge
from repalign.spans import Span

LAST = Span.parse("last")


def unit(*parts: tuple[int, float]) -> np.ndarray:
    vector = np.zeros(WIDTH)
    for axis, size in parts:
        vector[axis] = size
    return vector / np.linalg.norm(vector)


def topics(**directions: np.ndarray) -> dict:
    return {
        name: activations(name, groups=80, shifts=(0.0, 3.0), direction=vector, seed=i)
        for i, (name, vector) in enumerate(directions.items())
    }


def shared_and_own() -> dict:
    """Axis 0 is shared by all topics; each has an axis of its own that means as much."""
    return topics(
        a=unit((0, 1), (1, 1)),
        b=unit((0, 1), (2, 1)),
        c=unit((0, 1), (3, 1)),
        d=unit((0, 1), (4, 1)),
    )


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_pooling_finds_what_topics_share() -> None:
    pooled = fit_pooled(shared_and_own(), LAST, {})
    shared = np.eye(WIDTH)[0]
    together = cosine(pooled.readout.coef[0], shared)
    assert together > 0.8
    assert all(
        together > cosine(single.coef[0], shared) + 0.05 for single in pooled.single.values()
    )


def test_pooling_beats_the_best_single_topic_on_topics_left_out() -> None:
    parts = shared_and_own()
    found = judge(fit_pooled(parts, LAST, {}), parts, seed=0)
    assert found.difference.value > 0.02
    assert found.difference.low > 0
    assert found.mean.value > found.best_single_mean.value


def test_the_left_out_topic_has_no_part_in_its_readout() -> None:
    parts = shared_and_own()
    before = fit_pooled(parts, LAST, {}).left_out["a"]
    flipped = {**parts, "a": replace(parts["a"], labels=1 - parts["a"].labels)}
    after = fit_pooled(flipped, LAST, {}).left_out["a"]
    assert after.sites == before.sites
    assert (after.coef == before.coef).all()
    # Nor have its values, such as the scale of a feature.
    values = parts["a"].values * np.linspace(1, 20, WIDTH).astype(np.float32)
    scaled = {**parts, "a": replace(parts["a"], values=values)}
    assert (fit_pooled(scaled, LAST, {}).left_out["a"].coef == before.coef).all()


def test_the_site_with_the_signal_is_kept() -> None:
    pooled = fit_pooled(shared_and_own(), LAST, {})
    assert [site.layer for site in pooled.readout.sites] == [1]
    assert all([s.layer for s in r.sites] == [1] for r in pooled.left_out.values())


def test_a_topic_that_points_the_other_way_is_flagged() -> None:
    parts = topics(a=unit((0, 1)), b=unit((0, 1)), c=unit((0, 1)), d=-unit((0, 1)))
    found = judge(fit_pooled(parts, LAST, {}), parts, seed=0)
    assert found.left_out["d"].flipped
    assert found.left_out["d"].auroc.value < 0.1
    assert not found.left_out["a"].flipped


def test_a_flip_in_one_polarity_is_flagged_though_the_mean_hides_it() -> None:
    parts = topics(a=unit((0, 1)), b=unit((0, 1)), c=unit((0, 1)))
    negated = activations(
        "c", groups=80, shifts=(0.0, 3.0), direction=-unit((0, 1)), polarity=-1, seed=9
    )
    negated = replace(negated, example=negated.example + 1000)
    parts["c"] = type(negated).join([parts["c"], negated])
    found = judge(fit_pooled(parts, LAST, {}), parts, seed=0)
    assert found.left_out["c"].by_polarity["affirmed"].value > 0.9
    assert found.left_out["c"].by_polarity["negated"].value < 0.1
    assert found.left_out["c"].flipped


def test_offsets_between_topics_and_polarities_change_nothing() -> None:
    # Where one topic has more honest rows and lies far out, an axis that only tells topics apart
    # would look like honesty to a probe that is fitted on all rows at once.
    def fit(offset: float) -> np.ndarray:
        parts = {t: activations(t, groups=60, shifts=(1.0,), seed=i) for i, t in enumerate("abc")}
        far = parts["b"]
        few = far.rows(np.flatnonzero((far.labels == 1) | (np.arange(120) < 30)))
        parts["b"] = replace(few, values=np.asarray(few.values) + np.float32(offset))
        return fit_pooled(parts, LAST, {}).readout.coef[0]

    assert np.allclose(fit(50.0), fit(0.0), atol=1e-4)


def test_two_topics_keep_all_sites_and_judge_each_by_the_other() -> None:
    parts = topics(a=unit((0, 1)), b=unit((0, 1)))
    pooled = fit_pooled(parts, LAST, {})
    assert len(pooled.left_out["a"].sites) == len(pooled.readout.sites) == 2
    assert np.allclose(pooled.left_out["a"].coef, pooled.single["b"].coef)


def test_weights_equal_those_of_a_direct_solution() -> None:
    part = activations("a", groups=50, shifts=(1.0,))
    parts = {"a": part, "b": activations("b", groups=50, shifts=(1.0,), seed=4)}
    coef = fit_pooled(parts, LAST, {}).single["a"].coef[0]
    x, y = part.values[:, 0].astype(np.float64), part.labels
    spread = x.std(axis=0)
    z = x / spread
    difference = z[y == 1].mean(axis=0) - z[y == 0].mean(axis=0)
    centred = z - np.where(y[:, None] == 1, z[y == 1].mean(axis=0), z[y == 0].mean(axis=0))
    covariance = centred.T @ centred / len(z)
    covariance += np.trace(covariance) / WIDTH * np.eye(WIDTH)
    assert cosine(coef, np.linalg.solve(covariance, difference) / spread) == pytest.approx(1.0)


def test_example_auroc_compares_within_polarity_only() -> None:
    affirmed = activations("a", groups=20, shifts=(0.0,))
    negated = replace(
        activations("a", groups=20, shifts=(0.0,), polarity=-1), example=np.arange(100, 140)
    )
    both = type(affirmed).join([affirmed, negated])
    # Within each polarity the order is perfect; negated rows lie far above.
    scores = both.labels + 10.0 * (both.polarity == -1)
    assert example_auroc(both, scores).value == 1.0
    assert auroc(both.labels, scores).value == pytest.approx(0.75)


def test_a_topic_with_one_label_in_a_polarity_is_named() -> None:
    parts = topics(a=unit((0, 1)), b=unit((0, 1)))
    parts["b"] = parts["b"].rows(np.flatnonzero(parts["b"].labels == 1))
    with pytest.raises(InputError, match="Topic 'b' has 80 rows of label 1 and 0 of label 0"):
        fit_pooled(parts, LAST, {})


def test_a_topic_for_each_row_is_refused() -> None:
    one = activations("a", groups=4)
    with pytest.raises(InputError, match="31 topics"):
        fit_pooled({f"t{i}": one for i in range(31)}, LAST, {})


def test_activations_that_number_their_examples_alike_are_not_joined() -> None:
    part = activations("a", groups=4)
    with pytest.raises(InputError, match="number their examples alike"):
        type(part).join([part, activations("b", groups=4)])


def test_results_do_not_depend_on_the_hash_seed() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from test_pooling import *; "
        "print(fit_pooled(shared_and_own(), LAST, {}).readout.coef.tobytes().hex())"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(printed) == 1
