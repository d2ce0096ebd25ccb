"""Endpoints for programs. In: the open pairs, settings and background runs of a page. Out: endpoints on its Gradio app."""
