"""everywhere(): the sites at which an ablation has to stand to keep the whole stream clean."""

from collections.abc import Collection

from repalign.interventions.intervening import Intervention
from repalign.models import LanguageModel
from repalign.sites import Site


def everywhere(model: LanguageModel, intervention: Intervention) -> dict[Site, Intervention]:
    """Put an intervention at every place where something enters the residual stream.

    With `Ablate` nothing along its directions then ever stands in the stream: neither what the
    embeddings bring nor what any attention or MLP adds. This is what an ablation in the weights
    does (`exports.bake`), the directional ablation of arXiv 2406.11717.

    The sites are `resid_pre` of layer 0 and every `attn_out` and `mlp_out`. Where a family's blocks
    do not offer both, they are `resid_pre` of layer 0 and every `resid_post`: with one step a block
    (Mamba) that is the same; with two (Jamba) the second still reads what the first has added.

    Example:
        `intervene(model, everywhere(model, Ablate.of(direction)))`
    """
    return {site: intervention for step in _steps(model) for site in sorted(step[0])}


def covers(model: LanguageModel, sites: Collection[Site]) -> bool:
    """Whether an ablation at these sites cleans whatever enters the stream before it is read."""
    given = set(sites)
    return all(any(way <= given for way in step) for step in _steps(model))


def _steps(model: LanguageModel) -> list[list[set[Site]]]:
    """For each thing that enters the stream the sets of sites that catch it, one of them enough."""
    streams = model.architecture.streams
    steps = [[{Site(0, "resid_pre")}]]
    for layer in range(model.n_layers):
        attention, mlp = Site(layer, "attn_out"), Site(layer, "mlp_out")
        after = [{Site(layer)}]
        if layer + 1 < model.n_layers:
            after.append({Site(layer + 1, "resid_pre")})
        if not {"attn_out", "mlp_out"} <= set(streams):
            steps.append(after)
        elif "resid_mid" not in streams:
            # Side by side: neither reads what the other adds.
            steps.append([{attention, mlp}, *after])
        else:
            steps += [[{attention}, {Site(layer, "resid_mid")}], [{mlp}, *after]]
    return steps
