"""Studies: many recipes asked many questions, saved as they are answered, and shown in figures.

In: a plan (cells × questions × samples), a task's questions, a workbench per pair. Out: events of a run (`runner`), samples in a
store (`store`), measures with intervals (`stats`), tables, pictures and one-file reports (`report`).
"""
