"""Exports: interventions as weights, adapters and vectors that others load, each one verified."""

from repalign.exports.baking import bake as bake
from repalign.exports.exporting import export as export
from repalign.exports.gguf import export_gguf as export_gguf
from repalign.exports.gguf import read_gguf as read_gguf
from repalign.exports.lora import export_lora as export_lora
from repalign.exports.verifying import Verification as Verification
from repalign.exports.verifying import verify_export as verify_export
from repalign.exports.vllm_lens import export_vllm_lens as export_vllm_lens
from repalign.exports.vllm_lens import read_vllm_lens as read_vllm_lens
