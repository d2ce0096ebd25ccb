"""The bridge to lm-eval: a blend as one of its models, so that any of its tasks runs against λ. Needs the extra `lm-eval`.

    python -m mi_explorer lm-eval --tasks mi_mini --lambda 0:1:0.1          # our command: a table over λ
    python -m mi_explorer.harness run --model mi_explorer --model_args pair=mini,lam=0.8 --tasks gsm8k --apply_chat_template

The second form is lm-eval's own command line with this model registered. What is scored is the answer: the thought is stripped,
and a task's stop strings and `max_gen_toks` hold for the answer alone, because they were written for models that do not think.
The thought counts in the tokens (`BlendLM.costs`). A response that is cut off by `cap` or the context has no answer.
"""

import logging
from collections import Counter
from typing import TYPE_CHECKING

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from mi_explorer.generation.snapshots import GenerationRequest
from mi_explorer.harness.likelihood import loglikelihood
from mi_explorer.harness.requests import HarnessError, HarnessJob, ResponseCost, answer_of, run_jobs
from mi_explorer.prompts import Prompt
from mi_explorer.prompts.think_tags import opens_thought
from mi_explorer.prompts.token_codec import check_text
from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.studies.plan import digest, sample_seed
from mi_explorer.untyped import Json, JsonObject, LibraryObject

if TYPE_CHECKING:
    from mi_explorer.engine.resident import ResidentPair
    from mi_explorer.workbench import Workbench

log = logging.getLogger(__name__)
CAP = 32_768  # tokens of a response where nothing else is said; the model's context bounds it too
MAX_REQUESTS = 2_048  # requests in the engine's hands
OVERRIDES = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
KNOWN = {"until", "do_sample", *OVERRIDES, *LENGTHS}


@register_model("mi_explorer")
class BlendLM(TemplateLM):  # type: ignore[misc]  # lm-eval has no types
    """A blend as a model of lm-eval. Model arguments: pair, lam, method, layers, modules (joined by +), params (a=1+b=2), template,
    device, dtype, cap, seed; temperature, top_p, top_k, min_p replace the task's own where they are given; batch_size is the engine's rows.
    """

    def __init__(
        self,
        pair: str = "mini",
        lam: float = 0.5,
        method: str = "linear",
        layers: str = "all",
        modules: str = "all",
        params: str = "",
        template: str = "own",
        device: str | None = None,
        dtype: str | None = None,
        cap: int | None = None,
        seed: int = 0,
        batch_size: int | str | None = None,
        max_batch_size: int | str | None = None,
        bench: "Workbench | None" = None,
        recipe: Recipe | None = None,
        **decoding: Json,
    ) -> None:
        super().__init__()
        if unknown := set(decoding) - set(OVERRIDES):
            raise HarnessError(
                f"Unknown model argument {sorted(unknown)[0]!r}. "
                "Known: pair, lam, method, layers, modules, params, template, device, "
                               f"dtype, cap, seed, {', '.join(OVERRIDES)}.")  # fmt: skip
        if bench is None:
            from mi_explorer.workbench import Workbench

            asked = str(batch_size or "")
            rows = int(asked) if asked.isdigit() and int(asked) > 1 else None
            if str(device).startswith("cuda") and not torch.cuda.is_available():  # lm-eval's own default, GPU or not
                log.warning("There is no GPU that PyTorch can use here; running on the CPU")
                device = "cpu"
            bench = Workbench.open(pair, device=device or "cpu", dtype=dtype, max_rows=rows)
        if recipe is None:
            scope = Scope(str(layers), Scope().modules if modules == "all" else tuple(str(modules).split("+")))
            given = tuple((k, float(v)) for k, _, v in (p.partition("=") for p in str(params).split("+") if p))
            recipe = Recipe(bench.pair.name, method, lam, scope, given, template)
        bench.check(recipe)
        self.bench, self.recipe, self.seed = bench, recipe, int(seed)
        self.given = {k: v for k, v in decoding.items() if v is not None}
        self.cap = min(int(cap), CAP) if cap is not None else CAP
        self.costs: list[ResponseCost] = []

    def at(self, lam: float) -> "BlendLM":
        """The same model at another λ, on the same loaded pair."""
        return BlendLM(bench=self.bench, recipe=self.recipe.at(lam), cap=self.cap, seed=self.seed, **self.given)

    # -- what the harness asks about the model --------------------------------------------------------------------------
    @property
    def tokenizer_name(self) -> str:
        return f"{self.bench.pair.name}-{self.bench.prompts.parent(self.recipe)}".replace("/", "__").replace("|", "--")

    @property
    def eot_token_id(self) -> int:
        return int(self.bench.prompts.stop_ids[0])

    @property
    def _resident(self) -> "ResidentPair":
        if self.bench.resident is None:
            raise HarnessError("Likelihoods need a pair whose weights are loaded here.")
        return self.bench.resident

    @property
    def max_length(self) -> int:
        """Positions that the model has."""
        return int(self._resident.max_positions)

    def get_model_info(self) -> JsonObject:
        """What goes into the results' config."""
        return {
            "pair": self.recipe.pair,
            "lambda": self.recipe.lam,
            "method": self.recipe.method,
            "recipe": self.recipe.hash,
            "cap": self.cap,
        }

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        if not chat_template:
            return None
        return self.bench.prompts.template(self.recipe) or ""

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as the template of the recipe's parent renders it (`template`: own, instruct, thinking)."""
        return self.bench.prompts.render_chat(chat_history, self.recipe, add_generation_prompt)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: object) -> list[int]:
        """Token ids. Where the tokenizer's own habit is to begin with a BOS, raw text gets one; a rendered template has its own."""
        check_text(string)
        tokenizer = self.bench.prompts.codec(self.recipe).tokenizer
        if add_special_tokens is None:
            bos = getattr(tokenizer, "bos_token", None)
            add_special_tokens = bool(bos and getattr(tokenizer, "add_bos_token", False) and not string.startswith(bos))
        return list(tokenizer.encode(string, add_special_tokens=add_special_tokens))

    # -- generation ----------------------------------------------------------------------------------------------------
    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """One answer per request, thought stripped. Requests that cannot run raise `HarnessError`."""
        from tqdm import tqdm

        seen: Counter[str] = Counter()
        jobs = []
        for i, request in enumerate(requests):
            context, options = request.args[0], request.args[1]
            jobs.append(self._job(str(i), context, options, seen[context]))
            seen[context] += 1
        texts: list[str] = []
        with tqdm(total=len(jobs), desc=f"λ {self.recipe.lam:g}", disable=disable_tqdm or None) as bar:
            for start in range(0, len(jobs), MAX_REQUESTS):
                part = jobs[start : start + MAX_REQUESTS]
                traces = run_jobs(self.bench.generator, part, bar.update)
                for job, request in zip(part, requests[start : start + MAX_REQUESTS]):
                    trace = traces[job.request.id]
                    text, tokens = answer_of(trace, job.until, job.budget)
                    self.costs.append(
                        ResponseCost(
                            str(request.task_name),
                            int(request.doc_id or 0),
                            text,
                            tokens,
                            trace.think_tokens,
                            trace.think_closed,
                            trace.truncated,
                        )
                    )
                    self.cache_hook.add_partial("generate_until", request.args, text)
                    texts.append(text)
        return texts

    def _job(self, id: str, context: str, options: JsonObject, number: int) -> HarnessJob:
        """A request of the harness as one of ours; `number` counts its repeats, so that each is a sample of its own."""
        prompts = self.bench.prompts
        ids = tuple(self.tok_encode(context))
        room = self.bench.engine.status().context if hasattr(self.bench.engine, "status") else prompts.context
        if room is not None and len(ids) >= room:
            raise HarnessError(
                f"A prompt of the task has {len(ids):,} tokens, and this pair holds {room:,} with the response. Use fewer examples."
            )
        until = options.get("until") or []
        budget = next((int(options[k]) for k in LENGTHS if options.get(k) is not None), None)
        for name in set(options) - KNOWN:
            log.warning("generation_kwargs: %s is not known to this model and is ignored", name)
        seed = sample_seed(self.seed, digest("harness", context), number)
        decoding = task_decoding(options, self.given, self.cap, seed)
        opened = opens_thought(context[-200:], prompts.tags)
        prompt = Prompt(ids, context, opened, prompts.parent(self.recipe))
        stops = tuple([until] if isinstance(until, str) else until)
        return HarnessJob(GenerationRequest(id, context, self.recipe, decoding), prompt, stops, budget)

    # -- likelihoods ---------------------------------------------------------------------------------------------------
    def _loglikelihood_tokens(
        self, requests: LibraryObject, disable_tqdm: bool = False, **kwargs: object
    ) -> list[tuple[float, bool]]:
        """(log p(continuation | context) in nats, whether greedy decoding would give it) per request.

        Over-long contexts lose their start.
        """
        from tqdm import tqdm

        out = []
        for names, context, continuation in tqdm(requests, desc=f"λ {self.recipe.lam:g}", disable=disable_tqdm or None):
            found = loglikelihood(self._resident, self.recipe, context, continuation)
            out.append(found)
            if names is not None:
                self.cache_hook.add_partial("loglikelihood", names, found)
        return out

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """log p(text) per request, in nats, every token predicted once with as much context as there is."""
        out = []
        for request in requests:
            (text,) = request.args
            windows = get_rolling_token_windows(self.tok_encode(text), self.prefix_token_id, self.max_length, 1)
            pairs = [(None, *make_disjoint_window(window)) for window in windows]
            total = sum(found[0] for found in self._loglikelihood_tokens(pairs, disable_tqdm=True))
            out.append(total)
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return out


def task_decoding(options: JsonObject, given: JsonObject, cap: int, seed: int) -> Decoding:
    """A task's generation arguments as a decoding: greedy unless it samples; what the user gave goes first."""
    temperature = float(options.get("temperature") or 0.0)
    if options.get("do_sample") is False:
        temperature = 0.0
    elif options.get("do_sample") and not options.get("temperature"):
        temperature = 1.0
    own = {
        "temperature": temperature,
        "top_p": options.get("top_p", 1.0),
        "top_k": options.get("top_k", 0),
        "min_p": options.get("min_p", 0.0),
    }
    own |= {"repetition_penalty": options.get("repetition_penalty", 1.0)}
    return Decoding(**{**own, **given}, cap=cap, seed=seed)
