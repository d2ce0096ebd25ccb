"""The command line, one file for each command or family of commands.

In: words as they were typed. Out: text or JSON on standard output, progress on standard error, an exit code.
`main` finds the command, `arguments` turns words into values, `options` are what several commands share.
"""
