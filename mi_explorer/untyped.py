"""Names for values without types: JSON, and what libraries without types hand out. Nothing else in the package is `Any`."""

from collections.abc import Mapping
from typing import Any, TypeAlias

Json: TypeAlias = Any  # a value read from JSON, YAML or Parquet, before its shape is checked
JsonObject: TypeAlias = dict[str, Any]
JsonMapping: TypeAlias = Mapping[str, Any]  # an object of JSON that is only read

ModelConfig: TypeAlias = Any  # a configuration of transformers: its attributes are the architecture's
ModelModule: TypeAlias = Any  # a model of transformers: its modules are the architecture's
Tokenizer: TypeAlias = Any  # a tokenizer of transformers
TorchOperand: TypeAlias = Any  # what `__torch_function__` is called with: tensors, numbers, sizes, None
SympyExpression: TypeAlias = Any
LibraryObject: TypeAlias = Any  # of another library that comes without types
TemplateValue: TypeAlias = Any  # what a chat template computes with
SqlValue: TypeAlias = int | float | str | bytes | None
GradioValue: TypeAlias = Any  # what a component of Gradio is given: a value, or an update of its properties
