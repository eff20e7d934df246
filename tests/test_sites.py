"""Sites: a name that prints and parses back, and refuses what cannot be meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repalign.errors import InputError
from repalign.sites import STREAMS, Site


@given(st.integers(0, 500), st.sampled_from(STREAMS))
def test_a_site_parses_back_from_what_it_prints(layer: int, stream: str) -> None:
    site = Site(layer, stream)
    assert Site.parse(str(site)) == site
    assert Site.parse(f"  {site}\n") == site


def test_a_number_is_the_stream_after_a_layer() -> None:
    assert Site.parse("12") == Site(12, "resid_post") == Site(12)
    assert str(Site(0)) == "L0.resid_post"


def test_equal_sites_are_one_key() -> None:
    assert {Site(3): "a", Site.parse("L3.resid_post"): "b"} == {Site(3): "b"}


@pytest.mark.parametrize(
    "text", ["", "L", "12.resid_post", "L1", "L1.", "l1.resid_post", "L1 .mlp"]
)
def test_what_is_no_site_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(InputError, match=r"not a site.*L12\.resid_post"):
        Site.parse(text)


def test_an_unknown_stream_names_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no stream 'resid_pst'. Did you mean 'resid_post'"):
        Site.parse("L1.resid_pst")


@pytest.mark.parametrize("text", ["L-1.resid_post", "L-3.mlp_out"])
def test_layers_are_not_counted_from_the_end(text: str) -> None:
    with pytest.raises(InputError, match=r"negative.*model\.sites\(\)\[-1\]"):
        Site.parse(text)
