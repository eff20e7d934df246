"""check(): whatever of a plan can be refused without a model is refused before one is loaded."""

from typing import Any

from repalign.errors import InputError
from repalign.evaluation import named
from repalign.recipes import penalties, rewards, sources
from repalign.recipes.plan import Plan, Stage
from repalign.recipes.trainers import TRAINERS, check_arguments
from repalign.training import methods


def check(plan: Plan) -> None:
    """Refuse what does not exist: sources, penalties, rewards, arguments, suites.

    Raises:
        InputError: it says where in the plan, and names what is near.
        MissingExtraError: TRL or PEFT is not installed.
    """
    for stage in plan.stages:
        try:
            _stage(stage)
        except InputError as error:
            if len(plan.stages) == 1:
                raise
            raise InputError(f"{stage.name}: {error}") from error
    if plan.audit.suites:
        named(plan.audit.suites)
    directed = any("directions" in table for stage in plan.stages for table in stage.penalties)
    needing = [name for name in plan.audit.controls if name != "plain"]
    if needing and not directed:
        raise InputError(
            f"[audit] controls {', '.join(needing)} put other directions in the place of those of "
            "penalties, and no penalty of this plan has directions. Leave them out."
        )
    if "plain" in plan.audit.controls and not any(stage.penalties for stage in plan.stages):
        raise InputError(
            "[audit] controls `plain` trains without penalties, and this plan has none. Leave it "
            "out."
        )


def _stage(stage: Stage) -> None:
    trainer, config = TRAINERS[stage.method].load()
    sources.check(stage.data)
    check_arguments(stage.arguments, config, "[arguments]")
    if stage.lora is not None:
        check_arguments(stage.lora, _lora(), "[lora]")
    for table in stage.penalties:
        penalties.check(table)
    for table in stage.rewards:
        rewards.check(table)
    method = methods.of(trainer)
    for table in stage.penalties:
        span = table.get("span")
        if span is not None and span not in method.spans:
            raise InputError(
                f"[[penalties]] kind = {table['kind']!r}: method {stage.method} does not tell the "
                f"span {span!r} apart; it knows {', '.join(method.spans)}."
            )


def _lora() -> Any:
    from peft import LoraConfig

    return LoraConfig
