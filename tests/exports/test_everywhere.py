"""everywhere: an ablation at these sites leaves nothing in the stream."""

from collections.abc import Callable

import families
import numpy as np
import pytest
import torch

from repalign.directions import Direction
from repalign.interventions import Ablate, intervene
from repalign.interventions.everywhere import covers, everywhere
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.tokens import Tokens

RAGGED = Tokens.pad([[7, 30, 12, 55, 31, 9], [8, 41], [3, 9, 77, 14]], 5)


# Of the others the baked weights are looked at in the same way.
@pytest.mark.parametrize("name", ["bloom", "gemma2", "olmo2", "mamba", "gptj", "granite"])
def test_nothing_along_the_directions_stands_anywhere_in_the_stream(
    name: str, family: Callable[[str], LanguageModel], direct: Callable[..., Direction]
) -> None:
    model, ablate = family(name), Ablate.of(direct(0), direct(1))
    between = [s for s in model.architecture.streams if s.startswith("resid")]
    sites = [site for stream in between for site in model.sites(stream)]
    with intervene(model, everywhere(model, ablate)):
        found = model.capture(RAGGED, sites)
    basis = torch.from_numpy(ablate.basis).float()
    assert max(float((found[site] @ basis).abs().max()) for site in sites) < 1e-5
    assert min(float(found[site].norm()) for site in sites) > 0.01


def test_sites_are_where_something_enters(model: LanguageModel) -> None:
    first = Site(0, "resid_pre")
    inner = [Site(i, s) for i in range(model.n_layers) for s in ("attn_out", "mlp_out")]
    assert set(everywhere(model, abs)) == {first, *inner}
    assert set(everywhere(families.model("mamba"), abs)) == {first, *(Site(i) for i in range(3))}


def test_other_sites_that_catch_everything_cover_too(model: LanguageModel) -> None:
    wanted = set(everywhere(model, abs))
    stream = {s for name in ("resid_pre", "resid_mid") for s in model.sites(name)}
    last = model.sites()[-1]
    assert covers(model, wanted)
    assert covers(model, stream | {last})
    # The last block's output is read by the read-out.
    assert not covers(model, stream)
    for site in wanted:
        assert not covers(model, wanted - {site})


def test_both_ways_of_covering_do_the_same(
    model: LanguageModel, direct: Callable[..., Direction]
) -> None:
    ablate = Ablate.of(direct(0))
    stream = [s for name in ("resid_pre", "resid_mid") for s in model.sites(name)]
    with intervene(model, everywhere(model, ablate)):
        one = model.logits(RAGGED)
    with intervene(model, dict.fromkeys([*stream, model.sites()[-1]], ablate)):
        other = model.logits(RAGGED)
    assert np.allclose(one, other, atol=1e-5)
