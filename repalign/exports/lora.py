"""export_lora(): interventions as a PEFT adapter beside untouched weights."""

import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from repalign.errors import InputError, MissingExtraError
from repalign.exports.adapting import Plan
from repalign.exports.baking import refuse_unclean
from repalign.exports.copying import editable, ensure_same
from repalign.exports.requests import Request, unused
from repalign.exports.writers import listed
from repalign.interventions import Intervention
from repalign.models import LanguageModel
from repalign.sites import Site
from repalign.storage import make_folder

# What PEFT says of adapters like ours and is as it should be: embeddings tied to a read-out that
# stays, biases beside the weights, which are vectors; and a notice of its own future.
_KNOWN = (
    "Model has `tie_word_embeddings=True`",
    "`lora_bias=True` was passed",
    r"Adapter '\w+': \d+ LoRA tensor\(s\) have invalid shape.*lora_B\.bias",
    "fan_in_fan_out is",
)


def export_lora(
    model: LanguageModel, interventions: Mapping[Site, Intervention], folder: Path | str
) -> Path:
    """Write interventions as a LoRA adapter that `peft.PeftModel.from_pretrained` loads.

    `Ablate` everywhere: for each matrix that writes, `A = Vᵀ W` and `B = −V`, of the rank of the
    ablation, scaled by exactly 1; embeddings likewise, by themselves, so that a tied read-out stays
    as it was. `Add` and `Shift`: a bias on `lora_B` (`lora_bias`). PEFT holds such a bias neither
    for embeddings nor for fused experts: of the first the whole table is saved (`modules_to_save`),
    the second are refused. `LanguageModel.load(folder)` loads base and adapter, where the base's
    name can be loaded.

    Args:
        model: the base; it stays as it is.
        interventions: `Ablate` everywhere, `Add` and `Shift` at any site, or both.
        folder: where to; must not exist.

    Returns:
        The folder.

    Raises:
        InputError: something that an adapter cannot hold, or a path that exists.
        CheckError: the adapter does not do what the hooks do.
        MissingExtraError: PEFT is not installed.
    """
    folder = unused(folder)
    request = Request.of(model, interventions, "lora")
    copied = editable(model)
    plan = Plan.of(copied, request)
    network = _wrapped(copied, plan)
    network.peft_config["default"].base_model_name_or_path = model.name
    plan.fill(network)
    name = f"{model.name}+{folder.name}"
    adapted = LanguageModel(network, model.tokenizer, name, None, model.allow_failed)
    if plan.basis is not None and not request.pushes:
        refuse_unclean(adapted, plan.basis, model, plan.writers)
    ensure_same(model, interventions, adapted)

    def fill(target: Path) -> None:
        network.save_pretrained(str(target), save_embedding_layers=False)

    with quiet_peft():
        make_folder(folder, fill)
    return folder


def with_adapter(model: LanguageModel, folder: Path) -> LanguageModel:
    """A copy of the model with an adapter from a folder.

    Raises:
        InputError: the model has an adapter already, or weights that cannot be copied.
        MissingExtraError: PEFT is not installed.
    """
    peft = _peft()
    copied = editable(model)
    with quiet_peft():
        network = peft.PeftModel.from_pretrained(copied.network, str(folder)).eval()
    name = f"{model.name}+{folder.name}"
    return LanguageModel(network, model.tokenizer, name, None, model.allow_failed)


def _wrapped(model: LanguageModel, plan: Plan) -> Any:
    """The network with an empty adapter for a plan."""
    peft = _peft()
    config = peft.LoraConfig(
        r=plan.rank,
        lora_alpha=plan.rank,
        modules_to_save=list(plan.whole) or None,
        lora_bias=plan.with_biases,
        fan_in_fan_out=plan.transposed(model.network),
        task_type="CAUSAL_LM",
        inference_mode=True,
        **plan.targets,
    )
    try:
        with quiet_peft():
            network = peft.get_peft_model(model.network, config)
    except ValueError as error:
        raise InputError(
            f"PEFT cannot adapt {model.name} (family {model.architecture.family!r}) so: {error} "
            "Use 'weights' (bake), or, for what is added at resid_post, 'gguf' or 'vllm-lens'."
        ) from error
    base = network.get_base_model()
    bare = [name for name in plan.matrices if not hasattr(base.get_submodule(name), "lora_A")]
    if bare:
        raise InputError(
            f"PEFT left out {listed(bare)} of {model.name}, which write to the stream. Use "
            "'weights' (bake)."
        )
    return network


@contextmanager
def quiet_peft() -> Generator[None, None, None]:
    """Hold back what PEFT warns of and what is meant here."""
    with warnings.catch_warnings():
        for message in _KNOWN:
            warnings.filterwarnings("ignore", message=message)
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|peft")
        yield


def _peft() -> Any:
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError(
            "LoRA adapters need peft; install it with `pip install 'repalign[export]'`."
        ) from error
    return peft
