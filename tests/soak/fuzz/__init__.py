"""Millions of damaged and hostile inputs for whatever reads something from outside.

    python -m tests.soak.fuzz archives --minutes 1          one parser, or several, or without a name all of them
    python -m tests.soak.fuzz archives --input FILE         an input that was found, once more

A parser may accept an input or refuse it by InputError. A finding is anything else: another exception, a signal, more than
10 s of computing, more than 1 GB of memory, a file opened for writing or a program started outside the parser's own folder.
"""
