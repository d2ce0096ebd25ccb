"""MI Explorer: an interactive lab for model interpolation between an Instruct and a Thinking language model."""

__version__ = "0.1.0"
