"""Errors: one family, each also the built-in error that callers expect."""

import pytest

from repalign.errors import CheckError, InputError, MissingExtraError, RepalignError, unknown


def test_each_error_is_ours_and_pythons() -> None:
    assert issubclass(InputError, RepalignError)
    assert issubclass(InputError, ValueError)
    assert issubclass(MissingExtraError, RepalignError)
    assert issubclass(MissingExtraError, ImportError)
    assert issubclass(CheckError, RepalignError)
    # A failed self-check is no mistake of the user's: the command line tells them apart.
    assert not issubclass(CheckError, InputError)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("logistc", " Did you mean 'logistic'?"),
        ("mean_diference", " Did you mean 'mean_difference'?"),
        ("zebra", ""),
        ("", ""),
    ],
)
def test_an_unknown_name_gets_the_nearest_and_all_allowed(given: str, hint: str) -> None:
    error = unknown("probe", given, {"mean_difference", "logistic", "lda"})
    expected = f"There is no probe {given!r}.{hint} Allowed: lda, logistic, mean_difference."
    assert isinstance(error, InputError)
    assert str(error) == expected
