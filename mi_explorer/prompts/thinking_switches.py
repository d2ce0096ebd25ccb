"""The variables of a chat template that switch thinking, or say how much of it: what a pair's `thinking_switch` sets them to."""

import re

from mi_explorer.untyped import JsonObject

# Boolean variables with which templates of hybrid models switch thinking.
SWITCHES = (
    "enable_thinking", "thinking", "think", "enable_reasoning", "reasoning", "use_thinking", "enable_think", "is_thinking",
    "with_thinking", "force_thinking", "force_reasoning", "use_reasoning",
)  # fmt: skip
# Variables with a text or a number (gpt-oss, Seed-OSS and others): a template has its own default.
GRADES = (
    "reasoning_effort", "thinking_budget", "thinking_effort", "reasoning_budget", "thinking_mode", "reasoning_mode",
    "think_mode", "thinking_level", "reasoning_level", "thinking_type",
)  # fmt: skip
BUDGETS = ("thinking_budget", "reasoning_budget")  # 0 is no thought
_SEARCHED = 2_000_000  # characters


def mentions(template: str, name: str) -> bool:
    """Whether the code of a template reads a variable of this name."""
    code = " ".join(re.findall(r"\{[%{].*?[%}]\}", template[:_SEARCHED], re.DOTALL))
    return bool(re.search(rf"(?<![\w.'\"\[]){re.escape(name)}(?![\w'\"(])", code))


def switches_of(template: str) -> tuple[str, ...]:
    """The variables of a template that may switch thinking on or off."""
    return tuple(name for name in SWITCHES if mentions(template, name))


def grades_of(template: str) -> tuple[str, ...]:
    """The variables of a template that take a text or a number for thinking."""
    return tuple(name for name in GRADES if mentions(template, name))


def switch_values(template: str, setting: str, thinking: bool) -> JsonObject:
    """What the variables of a template get by a pair's `thinking_switch`; `thinking`: whether it is Thinking's template.

    "auto" turns thinking on in Thinking's, "on" and "off" in both; a grade keeps its default, a budget is 0 for "off".
    `NAME=VALUE` sets that variable in both templates, beside what "auto" does.
    """
    if setting in ("on", "off"):
        values: JsonObject = dict.fromkeys(switches_of(template), setting == "on")
        return values | ({name: 0 for name in BUDGETS if mentions(template, name)} if setting == "off" else {})
    values = dict.fromkeys(switches_of(template), True) if thinking else {}
    return values | named_values(setting)


def named_values(setting: str) -> JsonObject:
    """Name → value of `NAME=VALUE[,NAME=VALUE]`: true, false and numbers as such, anything else as text; {} for "auto" and the like."""
    pairs = (part.split("=", 1) for part in setting.split(",")) if "=" in setting else ()
    return {name.strip(): _value(text.strip()) for name, text in pairs}


def _value(text: str) -> str | bool | int | float | None:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if re.fullmatch(r"-?\d{1,15}", text, re.ASCII):
        return int(text)
    return float(text) if re.fullmatch(r"-?\d{1,15}\.\d{1,15}", text, re.ASCII) else text
