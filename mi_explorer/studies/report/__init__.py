"""Studies as people read them: tables, pictures (SVG), one-file HTML reports; the palette and the table renderer of everything else.

In: a `Summary`. Out: text, Markdown, HTML and SVG, with what comes from outside escaped.
"""
