"""config.json as the config object of `transformers`."""

from typing import Any

from mi_explorer.checkpoints.source import CheckpointError


def read_config(raw: dict[str, Any]) -> Any:
    """The `transformers` config of a config.json; `CheckpointError` for a model type that this version does not know."""
    from transformers import CONFIG_MAPPING

    kind = str(raw.get("model_type", ""))[:60]
    if kind not in CONFIG_MAPPING:
        raise CheckpointError(
            f"Model type {kind!r} is not known to the installed transformers. A newer version may know it."
        )
    try:
        return CONFIG_MAPPING[kind].from_dict(dict(raw))
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"The pair's config.json does not describe a {kind} model: {str(error)[:200]}") from None
