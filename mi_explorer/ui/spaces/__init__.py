"""Hugging Face Spaces: the workbench of a page whose GPU is lent for the time of a call (ZeroGPU), and a Space's own settings.

On ZeroGPU a process has a GPU only inside a function that `spaces.GPU` decorates; that function runs in a worker process, and
its arguments and yields are pickled. So the page keeps configs, tokenizer and traces, and all GPU work goes through
`gpu_work.gpu_work`: it opens the pair on the GPU (once per worker), runs requests or scores a trace, and yields token events.
Elsewhere it is a plain generator. `gpu_engine` puts it behind the engine's interface, `space_bench` behind the workbench's.

Quota, time and memory limits of the GPU are a `GpuError`; the page then shows its precomputed strip and says so.
"""
