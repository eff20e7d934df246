import numpy as np
import pytest
from synthetic import activations

from probes import CCS, ContrastPCA, MeanDifference, PolarityCCS
from repalign.errors import InputError
from repalign.fitting import by_name, fit_probe, fit_rows, name_of
from repalign.sites import Site

HERE = Site(0)


def test_pairs_are_handed_to_a_probe_that_uses_them() -> None:
    held = activations(groups=30, shifts=(2.0,))
    wanted = ContrastPCA().fit(held.at(HERE), held.labels, groups=held.groups)
    assert (fit_probe(ContrastPCA(), held, HERE).coef_ == wanted.coef_).all()


def test_without_pairs_contrast_pca_contrasts_all_rows() -> None:
    held = activations(groups=30, shifts=(2.0,))
    alone = np.array([f"g{i}" for i in range(60)])
    found = fit_rows(ContrastPCA(), held.at(HERE), held.labels, alone, held.polarity)
    wanted = ContrastPCA().fit(held.at(HERE), held.labels)
    assert (found.coef_ == wanted.coef_).all()


@pytest.mark.parametrize(("probe", "what"), [(CCS(), "groups that hold"), (PolarityCCS(), "ne")])
def test_a_probe_that_needs_what_the_data_lack_is_refused_by_name(probe: object, what: str) -> None:
    held = activations(groups=30, shifts=(2.0,))
    alone = np.array([f"g{i}" for i in range(60)])
    with pytest.raises(InputError, match=f"{name_of(probe)} needs .*{what}"):
        fit_rows(probe, held.at(HERE), held.labels, alone, held.polarity)


def test_polarity_ccs_refuses_one_polarity_though_pairs_are_there() -> None:
    held = activations(groups=30, shifts=(2.0,))
    with pytest.raises(InputError, match="affirmed and negated"):
        fit_probe(PolarityCCS(), held, HERE)


def test_what_a_probe_cannot_fit_is_a_users_mistake_with_its_name() -> None:
    held = activations(groups=5, shifts=(2.0,))
    values = held.at(HERE).copy()
    values[0, 0] = np.nan
    with pytest.raises(InputError, match=r"mean_difference cannot be fitted.*NaN"):
        fit_rows(MeanDifference(), values, held.labels, held.groups, held.polarity)


def test_rows_without_a_label_are_refused() -> None:
    held = activations(groups=5, shifts=(2.0,))
    held.labels[3] = -1
    with pytest.raises(InputError, match="1 of 10 rows have no label"):
        fit_probe(MeanDifference(), held, HERE)


def test_names_and_probes_find_each_other() -> None:
    assert name_of(by_name("lda")) == "lda"
    with pytest.raises(InputError, match="Did you mean 'lda'"):
        by_name("ldaa")
