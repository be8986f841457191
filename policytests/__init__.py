"""
The author's tool, `policytest`: suites of sample JWTs that prove a policy before it is served.

What lives here: the suite format, the pytest plugin, reports and the command line.  What must
not: a decision about access, which is `regauth.engine`'s alone.
"""
