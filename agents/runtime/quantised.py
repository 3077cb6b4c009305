"""One token's pass with the weights in int8: for long replies on a processor, where reading the weights is what takes time.

Each row of a weight is rounded to 127 steps of its largest number; activations, norms, attention and the cache stay in the
model's own precision. The kernel is torch's own (`torch._weight_int8pack_mm`, which torchao uses as well). Prompts are
read by the model itself. Only for models of Llama's plain build on a processor: `quantised_step` gives None for others.
Letters: H heads, K key-value heads, G = H / K, D width of a head, T tokens held, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from transformers import DynamicCache

    from agents.runtime.lm import LanguageModel

_STEPS = 127


class QuantisedStep:
    """See the module. Made of the weights as they are worn now, fused where they read the same input."""

    def __init__(self, language_model: LanguageModel) -> None:
        model = language_model.model
        config = model.config
        self._heads, self._kv_heads = config.num_attention_heads, config.num_key_value_heads
        first: Any = language_model.blocks[0]
        self._width = int(first.self_attn.head_dim)
        self._eps = float(config.rms_norm_eps)
        self._rotary = model.get_decoder().rotary_emb
        self._embedding = model.get_input_embeddings().weight
        self._norm = model.get_decoder().norm.weight
        self._layers = [_Layer(block) for block in language_model.blocks]
        self._head = _Rounded(model.get_output_embeddings().weight)

    @torch.inference_mode()
    def __call__(self, token: int, cache: DynamicCache) -> torch.Tensor:
        """Logits (V,) after the token, which the cache holds from then on."""
        x = self._embedding[token][None]
        position = torch.tensor([[cache.get_seq_length()]])
        cos, sin = (part[0] for part in self._rotary(x, position))
        for place, layer in enumerate(self._layers):
            x = x + layer.out(self._attended(x, layer, cache.layers[place], cos, sin))
            gate, up = layer.gate_up(self._normed(x, layer.norm_mlp)).chunk(2, -1)
            x = x + layer.down(functional.silu(gate) * up)
        return self._head(self._normed(x, self._norm))[0]

    def _attended(
        self, x: torch.Tensor, layer: _Layer, held: Any, cos: torch.Tensor, sin: torch.Tensor
    ) -> torch.Tensor:
        heads, kv, width = self._heads, self._kv_heads, self._width
        projected = layer.qkv(self._normed(x, layer.norm_attention)).view(-1, width)
        turned = projected[: heads + kv]
        halves = torch.cat([-turned[:, width // 2 :], turned[:, : width // 2]], -1)
        turned = turned * cos + halves * sin
        keys, values = held.update(
            turned[heads:].view(1, kv, 1, width), projected[heads + kv :].view(1, kv, 1, width)
        )
        # the G heads that share keys stand as G queries of one head: nothing is repeated
        query = turned[:heads].view(1, kv, heads // kv, width)
        return functional.scaled_dot_product_attention(query, keys, values).reshape(1, -1)

    def _normed(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return functional.rms_norm(x, (x.shape[-1],), weight, self._eps)


class _Rounded:
    """A weight (out, in) as int8 with one scale a row."""

    def __init__(self, *weights: torch.Tensor) -> None:
        whole = torch.cat([weight.detach() for weight in weights]).float()
        scale = whole.abs().amax(1, keepdim=True).clamp(min=1e-12) / _STEPS
        self._int8 = (whole / scale).round().to(torch.int8).contiguous()
        self._scale = scale[:, 0].to(weights[0].dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return torch._weight_int8pack_mm(x, self._int8, self._scale)


class _Layer:
    def __init__(self, block: Any) -> None:
        attention, mlp = block.self_attn, block.mlp
        self.norm_attention, self.norm_mlp = (
            block.input_layernorm.weight,
            block.post_attention_layernorm.weight,
        )
        self.qkv = _Rounded(attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight)
        self.out = _Rounded(attention.o_proj.weight)
        self.gate_up = _Rounded(mlp.gate_proj.weight, mlp.up_proj.weight)
        self.down = _Rounded(mlp.down_proj.weight)


def quantised_step(language_model: LanguageModel) -> QuantisedStep | None:
    """None where the model is built otherwise, does not lie on a processor, or torch has no such kernel."""
    config = language_model.model.config
    is_plain = (
        type(language_model.model).__name__ == "LlamaForCausalLM"
        and config.hidden_act == "silu"
        and not config.attention_bias
        and not config.mlp_bias
        and config.rope_parameters["rope_type"] == "default"
    )
    if not is_plain or language_model.device.type != "cpu" or not hasattr(torch, "_weight_int8pack_mm"):
        return None
    return QuantisedStep(language_model)
