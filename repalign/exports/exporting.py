"""export(): write interventions in a form that others can use, and read it back."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from repalign.errors import CheckError, InputError, unknown
from repalign.exports.baking import bake
from repalign.exports.gguf import export_gguf
from repalign.exports.lora import export_lora
from repalign.exports.requests import FORMS, unused
from repalign.exports.verifying import Verification, verify_export
from repalign.exports.vllm_lens import export_vllm_lens
from repalign.interventions import Intervention
from repalign.interventions.passing import Where
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.storage import make_folder


def export(
    model: LanguageModel,
    interventions: Mapping[Site, Intervention],
    path: Path | str,
    form: str,
    *,
    texts: Sequence[str] | None = None,
    where: str | Where = "all",
) -> Verification:
    """Write interventions to a file or folder, load what was written, and compare it with hooks.

    Args:
        model: the model.
        interventions: what to export.
        path: where to; must not exist.
        form: `weights`, a model with edited weights and its tokenizer (see `bake`); `lora`, a PEFT
            adapter (`export_lora`); `gguf`, a control vector for llama.cpp and repeng
            (`export_gguf`); `vllm-lens`, steering vectors for vLLM (`export_vllm_lens`).
        texts: plain texts to compare on; ordinary ones by default.
        where: what intervene() was given; anything but `all` is refused.

    Returns:
        The figures of the comparison.

    Raises:
        InputError: something that this form cannot hold, a path that exists, or one whose suffix
            another form has.
        CheckError: what was written does something else than the hooks, by the figures in the
            message; it is left where it is.
    """
    if form not in FORMS:
        raise unknown("form of export", form, FORMS)
    if where != "all":
        raise InputError(
            f"where={where!r} cannot be exported: weights, adapters and vectors act at every "
            "token. Export with where='all', or use intervene()."
        )
    path = unused(path)
    suffix = {"gguf": ".gguf", "vllm-lens": ".json"}.get(form, "")
    if path.suffix != suffix and (suffix or path.suffix in (".gguf", ".json")):
        raise InputError(f"{path} should end in {suffix or 'no suffix'} for the form {form!r}.")
    if form == "weights":
        make_folder(path, bake(model, interventions).save)
    elif form == "lora":
        export_lora(model, interventions, path)
    elif form == "gguf":
        export_gguf(model, interventions, path)
    else:
        export_vllm_lens(model, interventions, path)
    found = verify_export(model, interventions, path, texts)
    if not found.passed:
        raise CheckError(f"What was written is not what the hooks do. {found}")
    return found
