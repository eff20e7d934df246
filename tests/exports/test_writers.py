"""Writers: what writes to the stream is found without knowing its name."""

import copy
from collections.abc import Callable

import families
import pytest
import toy as toys
from torch import Tensor, nn

from repalign.errors import InputError
from repalign.exports.baking import ablatable
from repalign.exports.biases import bias_of
from repalign.exports.writers import Written, listed, trace, trial
from repalign.interventions.everywhere import everywhere
from repalign.models import LanguageModel
from repalign.sites import Site


def _traced(name: str) -> dict[Site, Written]:
    model = families.model(name)
    copied = LanguageModel(copy.deepcopy(model.network), model.tokenizer, name)
    return trace(copied, list(everywhere(copied, abs)))


def _found(name: str, site: Site) -> dict[str, int]:
    return {writer.name: writer.axis for writer in _traced(name)[site].writers}


@pytest.mark.parametrize(
    ("name", "site", "expected"),
    [
        ("gpt2", Site(0, "resid_pre"), {"transformer.wte.weight": 1, "transformer.wpe.weight": 1}),
        (
            "gpt2",
            Site(1, "mlp_out"),
            {"transformer.h.1.mlp.c_proj.weight": 1, "transformer.h.1.mlp.c_proj.bias": 0},
        ),
        ("llama", Site(2, "attn_out"), {"model.layers.2.self_attn.o_proj.weight": 0}),
        ("mixtral", Site(1, "mlp_out"), {"model.layers.1.mlp.experts.down_proj": 1}),
        (
            "deepseek_v3",
            Site(1, "mlp_out"),
            {
                "model.layers.1.mlp.experts.down_proj": 1,
                "model.layers.1.mlp.shared_experts.down_proj.weight": 0,
            },
        ),
        ("mamba", Site(1), {"backbone.layers.1.mixer.out_proj.weight": 0}),
        ("gemma2", Site(0, "resid_pre"), {"model.embed_tokens.weight": 1}),
        ("olmo2", Site(0, "attn_out"), {}),
    ],
)
def test_matrices_and_the_axis_along_which_they_write(
    name: str, site: Site, expected: dict[str, int]
) -> None:
    assert _found(name, site) == expected


def test_what_scales_behind_the_matrices_is_told_apart() -> None:
    found = _traced("gemma2")[Site(1, "mlp_out")]
    assert found.scales == ("model.layers.1.post_feedforward_layernorm.weight",)
    # Its bias is a bias; only the gain is in the way.
    bloom = _traced("bloom")[Site(0, "resid_pre")]
    assert bloom.scales == ("transformer.word_embeddings_layernorm.weight",)
    assert [writer.name for writer in bloom.writers] == [
        "transformer.word_embeddings_layernorm.bias"
    ]


def test_the_gain_of_a_bias_is_what_arrives() -> None:
    model = toys.model()
    layer = model.network.model.layers[1]

    class Halved(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner
            self.shift = nn.Parameter(nn.init.normal_(model.network.lm_head.weight.new_empty(32)))

        def forward(self, states: Tensor) -> Tensor:
            return 0.5 * (self.inner(states) + self.shift)

    layer.mlp = Halved(layer.mlp)
    bias = bias_of(trace(model, [Site(1)])[Site(1)])
    assert bias is not None
    assert bias.name == "model.layers.1.mlp.shift"
    assert bias.gain == pytest.approx(0.5)


class _Experts(nn.Module):
    """Of two experts every token goes to the first."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.experts = nn.ModuleList([inner, copy.deepcopy(inner)])

    def forward(self, states: Tensor) -> Tensor:
        return self.experts[0](states)


def test_an_expert_that_no_token_reached_is_judged_by_its_sibling() -> None:
    model = toys.model()
    layer = model.network.model.layers[1]
    layer.mlp = _Experts(layer.mlp)
    names = {writer.name for writer in ablatable(model)}
    assert "model.layers.1.mlp.experts.1.down_proj.weight" in names
    # Known from the sibling to read, not to write.
    assert "model.layers.1.mlp.experts.1.up_proj.weight" not in names


def test_a_matrix_of_which_nothing_is_known_is_named_and_refused() -> None:
    model = toys.model()
    layer = model.network.model.layers[1]
    layer.mlp.register_parameter("spare", nn.Parameter(layer.mlp.down_proj.weight.clone()))
    with pytest.raises(InputError, match=r"untouched: model\.layers\.1\.mlp\.spare"):
        ablatable(model)


def test_tracing_leaves_the_model_as_it_is(model: LanguageModel) -> None:
    copied = LanguageModel(copy.deepcopy(model.network), model.tokenizer, "copy")
    parameters = dict(copied.network.named_parameters())
    parameters["model.embed_tokens.weight"].requires_grad_(False)
    trace(copied, list(everywhere(copied, abs)))
    frozen = [name for name, parameter in parameters.items() if not parameter.requires_grad]
    assert frozen == ["model.embed_tokens.weight"]
    assert all(parameter.grad is None for parameter in parameters.values())


def test_trial_tokens_leave_padding_out(family: Callable[[str], LanguageModel]) -> None:
    phi = family("phi3")
    assert phi.network.get_input_embeddings().padding_idx == 0
    ids = trial(phi).ids
    assert 0 not in ids
    assert int(ids.max()) == phi.network.config.vocab_size - 1


def test_names_that_repeat_are_listed_once() -> None:
    assert listed(["a.0.w", "a.1.w", "b.3"]) == "a.*.w (2 times), b.3"
