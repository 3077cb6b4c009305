"""The README of an export: whose words it holds, of what it is made, and how other programs load it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consolidation.export import Export

VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # the values of vLLM's max_lora_rank

_TITLE = """# Weights of a persona

**Private.** These weights were trained on what people said to each other, and they can be made to say it again. Give
them to nobody who may not read those conversations. `slowwave forget` does not reach this folder: after an erasure,
delete it and export anew.

"""

_PLAIN_TITLE = """# The plain base of a persona

No task vector is in these weights: nothing that anybody said here was trained into them.

"""

_CHECKPOINT = """
## Loading

The folder is a model by itself.

    transformers: AutoModelForCausalLM.from_pretrained("THIS")
    vLLM:         vllm serve THIS
    llama.cpp:    python convert_hf_to_gguf.py THIS
"""

_PEFT = """
## Loading

Paths are those within this folder. BASE is the model with the hash above, which
`slowwave recipe export base --format checkpoint --out BASE` writes.

    peft: PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("BASE"), "{first}")
    vLLM: vllm serve BASE --enable-lora --max-lora-rank {vllm_rank} --chat-template chat_template.jinja \\
              --lora-modules {modules}
"""

_GGUF = """
## Loading

BASE.gguf is the model with the hash above, as llama.cpp reads it: the file itself where the base is one, else what
`convert_hf_to_gguf.py` makes of its folder.

    llama-server -m BASE.gguf --lora {files} --jinja --chat-template-file chat_template.jinja
"""

_EACH = """
Each task vector is an adapter of its own, its coefficient included, in the order in which the recipe lists them. """


def readme(export: Export) -> str:
    """The page as Markdown. It names hashes and numbers, and nobody."""
    rows = [
        ("format", export.format),
        ("base (SHA-256 of its weights)", export.recipe.base_hash),
        ("recipe", export.sha256 or "none: the plain base"),
        ("task vectors", str(len(export.recipe.entries))),
    ]
    if export.dtype is not None:
        rows += [
            ("type of the weights", export.dtype),
            ("share of the change lost to rounding", _share(export)),
        ]
    if export.rank is not None:
        rows += [("rank", str(export.rank)), ("share of the change cut off", _share(export))]
    table = "| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in rows)
    title = _TITLE if export.recipe.entries else _PLAIN_TITLE
    return title + table + _how(export)


def _share(export: Export) -> str:
    return f"{export.residual:.2g}"


def _how(export: Export) -> str:
    if export.format == "checkpoint":
        return _CHECKPOINT
    paths = [item.path for item in export.adapters]
    each = _EACH if export.adapters[0].entry is not None else ""
    if export.format == "gguf":
        several = (
            "Their sum is the recipe; `--lora-scaled FILE:SCALE` turns one up or down.\n" if each else ""
        )
        return _GGUF.format(files=",".join(paths)) + each + several
    several = "vLLM serves one of them at a time; their sum is the export without `--each`.\n" if each else ""
    rank = vllm_rank(export.rank or 0)
    modules = " ".join(f"{'persona' if path == '.' else path}={path}" for path in paths)
    text = _PEFT.format(first=paths[0], modules=modules, vllm_rank=rank or VLLM_RANKS[-1])
    if rank is None:
        text += f"\nvLLM takes no adapter of rank {export.rank}: export with `--max-rank {VLLM_RANKS[-1]}` for it.\n"
    return text + each + several


def vllm_rank(rank: int) -> int | None:
    """The least `max_lora_rank` of vLLM that holds an adapter of this rank; None where there is none."""
    return next((limit for limit in VLLM_RANKS if limit >= rank), None)
