"""What people do today for each λ: start vLLM on a checkpoint folder, answer the questions, end. Run by bench_vllm in vLLM's environment.

python tests/bench/plain_vllm.py JOB     # JOB: {"folder", "prompts": [ids], "seeds", "stop", "cap", "context", "rows", "dtype"}
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ.update(
    VLLM_NO_USAGE_STATS="1",
    VLLM_LOGGING_LEVEL="ERROR",
    VLLM_CPU_OMP_THREADS_BIND="nobind",
    VLLM_ENABLE_V1_MULTIPROCESSING="0",
    TORCHDYNAMO_DISABLE="1",
)


def main() -> None:
    from vllm import LLM, SamplingParams

    job = json.loads(Path(sys.argv[1]).read_text())
    llm = LLM(
        model=job["folder"],
        load_format="safetensors",
        dtype=job["dtype"],
        max_model_len=job["context"],
        max_num_seqs=job["rows"],
        skip_tokenizer_init=True,
        enforce_eager=True,
        kv_cache_memory_bytes=256 << 20,
        disable_log_stats=True,
        seed=0,
    )
    params = [
        SamplingParams(
            temperature=0.6,
            top_p=0.95,
            top_k=20,
            seed=seed,
            max_tokens=job["cap"],
            stop_token_ids=job["stop"],
            ignore_eos=True,
            detokenize=False,
            logprobs=0,
        )
        for seed in job["seeds"]
    ]
    began = time.perf_counter()
    made = llm.generate([{"prompt_token_ids": ids} for ids in job["prompts"]], params, use_tqdm=False)
    spent = time.perf_counter() - began
    print(json.dumps({"generate": spent, "tokens": sum(len(one.outputs[0].token_ids) for one in made)}))


if __name__ == "__main__":
    main()
