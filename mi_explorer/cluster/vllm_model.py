"""vLLM with a blend of a pair in it: the only file that knows vLLM. Imports it at first use; an environment of its own has it.

Each fold writes every tensor, from the parents' files, through vLLM's own loader (which knows fused, padded and packed layouts), and
empties the prefix cache. Then log-probs of fixed tokens must be those that our decoder computes from the same files, or nothing is
generated.
vLLM runs in this process, so that nothing of it outlives a worker that is killed.
"""

import math
import os
from collections.abc import Iterator, Sequence

import torch

from mi_explorer.cluster.folded_requests import Drawn
from mi_explorer.engine.memory_plan import plan_memory
from mi_explorer.engine.resident import ResidentPair
from mi_explorer.errors import UserError
from mi_explorer.machine import free_memory
from mi_explorer.merging.combine import combine
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.untyped import LibraryObject

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # workers of one machine share its cores
}
# Compiling two small functions takes longer than a small model's first thousand steps.
CPU_ENVIRONMENT = {"TORCHDYNAMO_DISABLE": "1"}
PROOF_TOKENS = 64
EXACT_LIMIT = 1e-3  # nats (root mean square) in fp32
# In half precision at least and at most; between them NOISE times what a fresh load differs by: where experts are chosen by a hair, one
# blend differs by more than another.
HALF_LIMITS = (0.05, 0.25)
NOISE = 4
CPU_ROWS, CUDA_ROWS = 64, 256
CPU_CONTEXT = 8192  # positions of a row on a CPU, unless --context says otherwise
TOP_P_LEAST = 1e-6  # vLLM takes no 0; the likeliest token is always among them


class VllmError(UserError):
    """vLLM is missing, cannot run this pair, or computes with other weights than it should."""


class VllmModel:
    """A `BlendedModel`. `resident` reads the pair and computes the reference, on the CPU; `rows` decode together."""

    def __init__(self, resident: ResidentPair, device: str, rows: int | None, context: int | None) -> None:
        self.resident, self.vocab = resident, resident.vocab
        self.version = str(import_vllm(device).__version__)
        self._engine = self._start(self._engine_args(device, rows, context))
        self.context = int(self._engine.model_config.max_model_len)
        self._ids = proof_ids(self.vocab)
        self.limit = EXACT_LIMIT if resident.dtype == torch.float32 else self._half_limit()
        self.proof: tuple[float, ...] = ()  # the reference of the blend that is held

    def _engine_args(self, device: str, rows: int | None, context: int | None) -> LibraryObject:
        from vllm.engine.arg_utils import EngineArgs

        cpu, sizes, text = device == "cpu", self.resident.sizes, self.resident.config.get_text_config(decoder=True)
        rows = rows or (CPU_ROWS if cpu else CUDA_ROWS)
        longest = sizes.positions or CPU_CONTEXT
        if context is not None:
            context = min(context, longest)
        elif cpu:
            context = min(CPU_CONTEXT, longest)
        cache = None
        if cpu and context is not None:
            cache = max(context * sizes.kv_token, min(rows * context * sizes.kv_token, (free_memory() or 8 << 30) // 4))
        return EngineArgs(
            model=str(self.resident.folder),
            load_format="safetensors",
            trust_remote_code=False,
            skip_tokenizer_init=True,
            hf_overrides={"tie_word_embeddings": bool(text.tie_word_embeddings)},
            generation_config="vllm",
            dtype=str(self.resident.dtype).removeprefix("torch."),
            max_model_len=-1 if context is None else context,  # -1: as much as memory leaves
            max_num_seqs=rows,
            kv_cache_memory_bytes=None if cache is None else max(cache, 64 << 20),
            enforce_eager=cpu,
            async_scheduling=False,  # a fold must not meet a step that is under way
            disable_log_stats=True,
            seed=0,
        )

    def _start(self, args: LibraryObject) -> LibraryObject:
        """The engine; refused from the config alone where its weights could not be changed."""
        from vllm.v1.engine.llm_engine import LLMEngine

        try:
            config = args.create_engine_config()
            if why := obstacle(config.model_config):
                raise VllmError(f"vLLM cannot run blends of this pair: {why}. Our own engine can: leave --engine out.")
            return LLMEngine.from_vllm_config(config, disable_log_stats=True)
        except VllmError:
            raise
        except Exception as error:  # of many types: a model that it cannot run, a device that is too small
            first = (str(error).strip().splitlines() or [""])[0][:300]
            raise VllmError(f"vLLM cannot load this pair ({type(error).__name__}: {first}).") from error

    # -- weights -----------------------------------------------------------------------------------------------------

    def fold(self, recipe: Recipe) -> None:
        self.resident.parents.check_unchanged()
        self._engine.collective_rpc(write_blend, args=(self.resident, recipe))
        self._engine.reset_prefix_cache()
        self.proof = self._reference(recipe)
        off = difference(self._log_probs(), self.proof)
        if not off <= self.limit:
            raise VllmError(
                f"After blending, vLLM's log-probs are {off:.3g} nats away from those of our own engine (at most {self.limit:.3g}), so it "
                "does not hold the right weights and nothing is generated. Our own engine can run this pair: leave --engine out."
            )

    def _half_limit(self) -> float:
        """How far log-probs may be off in half precision, by what they are off where vLLM has just loaded a parent by itself."""
        parents, least, most = self.resident.parents, *HALF_LIMITS
        for lam, part in ((0.0, parents.instruct), (1.0, parents.thinking)):
            if getattr(part, "path", None) == self.resident.folder:
                recipe = Recipe(self.resident.pair.name, lam=lam)
                return min(most, max(least, NOISE * difference(self._log_probs(), self._reference(recipe))))
        return most

    def _reference(self, recipe: Recipe) -> tuple[float, ...]:
        """Log-probs of the fixed tokens by our own decoder, from the files."""
        resident, ids = self.resident, self._ids
        plan = plan_memory(resident.sizes, None, 1, len(ids), only="fold")
        with torch.inference_mode(), resident.lock:
            blends = {recipe.hash: resident.blend(recipe)}
            chunks = resident.load_weights(plan).teacher_forced_logits(blends, ids[:-1], 0, len(ids))
            logits = torch.cat([chunk[0] for chunk in chunks])
        return tuple(logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist())

    def _log_probs(self) -> tuple[float, ...]:
        """The same by vLLM, with the weights that it has."""
        from vllm import SamplingParams

        params = SamplingParams(temperature=0.0, max_tokens=1, prompt_logprobs=0, detokenize=False)
        self._engine.add_request("proof", {"prompt_token_ids": list(self._ids)}, params)
        while self._engine.has_unfinished_requests():
            for output in self._engine.step():
                if output.finished:
                    found = output.prompt_logprobs
                    return tuple(float(found[i][token].logprob) for i, token in enumerate(self._ids) if i)
        raise VllmError("vLLM gives no log-probs of a prompt.")

    # -- rows --------------------------------------------------------------------------------------------------------

    def add(self, row: str, ids: Sequence[int], decoding: Decoding, most: int, stop_ids: Sequence[int]) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        greedy = decoding.temperature == 0
        params = SamplingParams(
            temperature=decoding.temperature,
            top_p=max(decoding.top_p, TOP_P_LEAST),
            top_k=decoding.top_k,
            min_p=decoding.min_p,
            repetition_penalty=decoding.repetition_penalty,
            seed=None if greedy else decoding.seed,
            max_tokens=most,
            stop_token_ids=list(stop_ids),
            ignore_eos=True,  # the pair's stop ids count, and no other
            logprobs=0,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
        )
        self._engine.add_request(row, {"prompt_token_ids": list(ids)}, params)

    def abort(self, rows: Sequence[str]) -> None:
        self._engine.abort_request(list(rows))

    def step(self) -> list[Drawn]:
        if not self._engine.has_unfinished_requests():
            return []
        return [drawn(output) for output in self._engine.step()]

    def close(self) -> None:
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        self._engine.engine_core.shutdown()
        del self._engine
        cleanup_dist_env_and_memory()


def import_vllm(device: str) -> LibraryObject:
    """The library, with its settings made; `VllmError` where this interpreter has none, or one that is built for another device."""
    for name, value in (ENVIRONMENT | (CPU_ENVIRONMENT if device == "cpu" else {})).items():
        os.environ.setdefault(name, value)
    if not (torch.cuda.is_available() and torch.cuda.get_device_capability()[0] >= 8):
        os.environ.pop("VLLM_BATCH_INVARIANT", None)  # elsewhere vLLM fails with it
    try:
        import vllm
    except ImportError as error:
        raise VllmError(
            f"The interpreter of this worker has no vLLM that works ({error}). 'make vllm-env' makes one."
        ) from None
    from vllm.platforms import current_platform

    built = str(current_platform.device_type or "no device")
    if built != device.partition(":")[0]:
        raise VllmError(
            f"The vLLM of this worker runs on {built}, not on {device}. Name the device with --device {built}."
        )
    return vllm


def obstacle(config: LibraryObject) -> str:
    """Why vLLM cannot change the weights of a model with this `ModelConfig` in place; "" if it can."""
    if config.quantization is not None:
        return f"its weights are quantised ({config.quantization}), and vLLM corrupts those when they are written anew"
    if config.is_hybrid or config.is_attention_free or config.has_inner_state:
        return "it has layers with a state of their own (a hybrid), which vLLM corrupts when weights are written anew"
    if config.is_encoder_decoder:
        return "it has an encoder"
    return ""


def proof_ids(vocab: int) -> tuple[int, ...]:
    """Fixed tokens from all over the vocabulary; what they say does not matter."""
    return tuple((3 + i * 7919) % vocab for i in range(PROOF_TOKENS))


def difference(one: Sequence[float], two: Sequence[float]) -> float:
    """Root mean square difference; NaN where there is one."""
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(one, two, strict=True)) / len(one))


def drawn(output: LibraryObject) -> Drawn:
    """vLLM's output of a step as ours."""
    part = output.outputs[0]
    ids = list(part.token_ids)
    logprobs = part.logprobs or [{} for _ in ids]
    tokens = ((token, float(found[token].logprob)) for token, found in zip(ids, logprobs, strict=True))
    return Drawn(output.request_id, tuple(tokens), bool(output.finished))


def write_blend(worker: LibraryObject, resident: ResidentPair, recipe: Recipe) -> None:
    """Write a blend into the model of a vLLM worker, by vLLM's own loader; and what that leaves undone on a CPU, where layers multiply by
    packed copies of their weights."""
    model = worker.model_runner.get_model()
    cpu = worker.device.type == "cpu"
    with torch.no_grad(), resident.lock:
        for layer in model.modules() if cpu else ():
            method: LibraryObject = getattr(layer, "quant_method", None)
            if getattr(method, "moe_kernel", None) is not None:
                method.moe_kernel = None  # else experts that were loaded once are copied, but not packed
        worker.model_runner.reload_weights(weights_iterator=blended(resident, recipe))
        seen: set[int] = set()
        for layer in model.modules() if cpu else ():
            weight, method = getattr(layer, "weight", None), getattr(layer, "quant_method", None)
            if isinstance(weight, torch.Tensor) and weight.numel() and method is not None:
                if weight.data_ptr() in seen:  # a tied head is no tensor of its own, so the loader leaves it alone
                    method.process_weights_after_loading(layer)
                seen.add(weight.data_ptr())


def blended(resident: ResidentPair, recipe: Recipe) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of the model by its checkpoint's name: computed from the parents, rounded once to the model's dtype, or kept in a
    wider one where the files have it so (the loader rounds what the model holds in less)."""
    blend, parents = resident.blend(recipe), resident.parents
    for name in resident.names:
        if not parents.blends(name):
            yield name, blend.tensor(name)
            continue
        p, q = blend.endpoints(name)
        dtype = torch.promote_types(parents.dtype(name), resident.dtype)
        ab = blend.coefficients(name)
        assert ab is not None  # a blend of weights has them for every tensor
        yield name, combine(p, q, *ab, torch.empty(p.shape, dtype=dtype))
