"""
The author's tool, `policytest`: suites of sample JWTs that test a policy before it is served.

What lives here: the suite format, the pytest plugin, reports and the command line.
Not here: a decision about access, which is `regauth.engine`'s alone.

PYTEST_DONT_REWRITE: the command imports this package before pytest starts, which pytest would
warn of; there is no `assert` in it to rewrite.
"""
