"""
Regular languages over Unicode texts: what conditions and patterns ask of one text.

What lives here: sets of characters, regular expressions, automata, images of languages under CEL's
string functions, and the cells into which several languages cut all texts.  Not here: conditions,
tokens and policies (`regauth.policytests.proofs`).
"""
