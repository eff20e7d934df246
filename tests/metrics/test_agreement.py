import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, precision_score, recall_score

from repalign.errors import InputError
from repalign.metrics.agreement import Agreement


def test_the_same_as_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    labels, found = generator.random(60) < 0.4, generator.random(60) < 0.5
    agreement = Agreement.of(labels, found)
    assert agreement.precision is not None
    assert agreement.recall is not None
    assert agreement.kappa is not None
    assert agreement.precision.value == pytest.approx(precision_score(labels, found))
    assert agreement.recall.value == pytest.approx(recall_score(labels, found))
    assert agreement.kappa.value == pytest.approx(cohen_kappa_score(labels, found))
    assert agreement.accuracy.value == pytest.approx(np.mean(labels == found))


def test_counts_tell_missed_from_invented() -> None:
    plain = Agreement.of([1, 1, 1, 0, 0], [1, 0, 0, 1, 0]).to_json()
    cells = ("both", "labelled_only", "found_only", "neither")
    assert [plain[name] for name in cells] == [1, 2, 1, 1]


def test_what_has_no_denominator_is_missing() -> None:
    nothing_found = Agreement.of([1, 0], [0, 0])
    assert nothing_found.precision is None
    assert nothing_found.recall is not None
    assert nothing_found.recall.value == 0
    one_sided = Agreement.of([0, 0], [0, 0])
    assert (one_sided.recall, one_sided.kappa) == (None, None)
    assert one_sided.accuracy.value == 1


def test_answers_to_one_question_are_resampled_together() -> None:
    labels, found = [1] * 20, [1, 0] * 10
    recall = Agreement.of(labels, found, ["a", "b"] * 10).recall
    assert recall is not None
    assert (recall.low, recall.high, recall.n) == (0.0, 1.0, 2)


@pytest.mark.parametrize(("labels", "found"), [([], []), ([1], [1, 0])])
def test_bad_input_is_refused(labels: list, found: list) -> None:
    with pytest.raises(InputError, match="one each an answer"):
        Agreement.of(labels, found)
