"""The model card of an exported blend: recipe, parents, the command that makes it again, and the mergekit equivalent."""

import re
from dataclasses import replace

import yaml

from mi_explorer import __version__
from mi_explorer.command_line import export_command
from mi_explorer.errors import UserError
from mi_explorer.mergekit_yaml import to_mergekit
from mi_explorer.merging.blend import PairBlend
from mi_explorer.pairs import HUB_ID, get_pair
from mi_explorer.recipe import MODULES, Recipe
from mi_explorer.recipe_io import load_yaml, to_yaml
from mi_explorer.untyped import JsonObject


def shareable(blend: PairBlend) -> Recipe:
    """The recipe with a pair that stands on its own: the preset's name where it means these parents, else the parents spelled out."""
    try:
        if get_pair(blend.recipe.pair).spec == blend.parents.pair.spec:
            return blend.recipe
    except UserError:
        pass
    return replace(blend.recipe, pair=blend.parents.pair.spec)


def model_card(blend: PairBlend, command: str = "") -> str:
    """README.md of the export. Names from outside appear in code spans or fenced blocks only."""
    recipe, parents = shareable(blend), blend.parents
    roles = {role: _plain(parents.part(role).label) for role in parents.roles}
    front: JsonObject = {"library_name": "transformers", "tags": ["merge", "model-interpolation", "mi-explorer"]}
    hub = [label for label in roles.values() if HUB_ID.fullmatch(label)]
    if hub:
        front |= {"base_model": hub, "base_model_relation": "merge"}
    if licence := _licence(blend):
        front["license"] = licence
    dtype = {str(parents.dtype(n)).removeprefix("torch.") for n in blend.names() if parents.blends(n)}
    try:
        equivalent = to_mergekit(recipe, parents.pair, parents.loaded, dtype=min(dtype, default="bfloat16"))
        note = " (the same in distribution: DARE's masks are drawn otherwise there)" if blend.method.random else ""
        mergekit = f"The same with mergekit{note}:\n\n```yaml\n{equivalent}```"
    except UserError as error:
        mergekit = f"There is no mergekit equivalent: {_plain(str(error))}"
    scope = (
        "everything"
        if recipe.scope.layers == "all" and recipe.scope.modules == MODULES
        else (
            f"layers {recipe.scope.layers}; modules {', '.join(recipe.scope.modules) or 'none'}; Instruct, bit for bit, elsewhere"
        )
    )
    own_instruct = recipe.template == "own" and recipe.lam == 0
    template = "Instruct" if recipe.template == "instruct" or own_instruct else "Thinking"
    lines = "\n".join(f"- {role}: `{label}`" for role, label in roles.items())
    return f"""---
{yaml.safe_dump(front, sort_keys=False).strip()}
---
# Model interpolation at λ = {recipe.lam:g}

{blend.method.title}: {blend.method.text} λ is the {blend.method.lam}.

{lines}
- blended: {scope}
- tokenizer and chat template: {template}'s
- arithmetic: fp32, rounded once to {", ".join(sorted(dtype))}
- recipe hash: `{blend.recipe.hash}` (MI Explorer {__version__})

The recipe:

```yaml
{to_yaml(recipe)}```

Make it again:

```
{_plain(command) or export_command(recipe, parents.pair)}
```

{mergekit}

Method: {blend.method.paper}. Interpolation of Instruct and Thinking models: https://arxiv.org/abs/2510.10977.
"""


def _plain(text: str) -> str:
    return re.sub(r"[`\r\n]+", " ", text)[:300]


def _licence(blend: PairBlend) -> str | None:
    """The licence that Instruct's card names, if it is a plain word."""
    folder = blend.parents.instruct.folder
    if "README.md" not in folder.files():
        return None
    try:
        match = re.match(r"---\s*\n(.*?)\n---", folder.read("README.md").decode("utf-8", "replace"), re.DOTALL)
        front = load_yaml(match[1]) if match else {}
    except UserError:
        return None
    licence = front.get("license") if isinstance(front, dict) else None
    return licence if isinstance(licence, str) and re.fullmatch(r"[\w.-]{1,40}", licence) else None
