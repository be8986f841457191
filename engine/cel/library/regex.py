"""
Regular expressions: RE2, compiled with the policy.

What lives here: the one use of google-re2.  Not here: where a pattern stands
(`checks.literal_arguments`), and what it matches as a language (`regauth.engine.languages`).

A pattern is kept in an RE2 set of one, whose `Match` is the only public call that says yes or no
without building match objects, five times faster than `search`.  An RE2 set has no slower second
engine to fall back to when its automaton outgrows its memory, and would answer "no"; so patterns
are bounded (`limits.PATTERN_SIZE`) far below what could fill it.
"""

from collections.abc import Callable

import re2

from regauth.engine.cel.syntax import limits


class PatternError(ValueError):
    """RE2 refuses a pattern; `fragment` is the part it names, which may be empty."""

    def __init__(self, message: str, fragment: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fragment = fragment


def _options() -> re2.Options:
    options = re2.Options()
    # RE2 would write to the process's standard error.
    options.log_errors = False
    options.never_capture = True
    return options


def compile_pattern(pattern: str) -> Callable[[bytes], object]:
    """
    Make a function that searches a text for the pattern, anywhere unless it is anchored.

    It takes the text in UTF-8 and gives what is true exactly when something is found.

    Raises:
        PatternError: RE2 refuses the pattern, or it is too large.

    """
    try:
        compiled = re2.compile(pattern, _options())
    except re2.error as error:
        # RE2 says "what is wrong: the part that is wrong", in UTF-8.
        message, _, fragment = error.args[0].decode("utf-8", "replace").partition(": ")
        raise PatternError(f"RE2 refuses the pattern: {message}", fragment) from None
    if max(compiled.programsize, compiled.reverseprogramsize) > limits.PATTERN_SIZE:
        raise PatternError(f"the pattern compiles to more than {limits.PATTERN_SIZE} instructions")
    only = re2.Set.SearchSet(_options())
    only.Add(pattern)
    only.Compile()
    # The wrapper around the C++ set only encodes the text, which is done already; where a later
    # google-re2 has no such wrapper, its own Match does as well.
    search: Callable[[bytes], object] = getattr(only, "_set", only).Match
    return search
