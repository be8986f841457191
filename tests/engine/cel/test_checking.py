"""What the checker says, about which stretch of the text, and what it says nothing about."""

import random

import pytest

from regauth.engine.cel import (
    BOOL,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Compiled,
    Declarations,
    Field,
    ListType,
    MapType,
    RecordType,
    Type,
    compile_expression,
)
from regauth.engine.source.problems import Severity
from tests.generated import share

from .generating import Untyped
from .test_differential import SEED

POD = RecordType("pod", {"name": Field(STRING, required=True)}, open=False)
CLAIMS = RecordType(
    "github-actions",
    {
        "sub": Field(STRING, required=True),
        "repository": Field(STRING, required=True),
        "repository_owner": Field(STRING, required=True),
        "run_attempt": Field(STRING, required=True),
        "iat": Field(INT, required=True),
        "groups": Field(ListType(STRING), required=True),
        "environment": Field(STRING, required=False),
        "kubernetes.io": Field(
            RecordType("kubernetes.io", {"pod": Field(POD, required=False)}, open=False),
            required=True,
        ),
        "labels": Field(MapType(STRING), required=True),
        "anything": Field(DYN, required=True),
    },
    open=False,
)
OPEN = RecordType("generic", {"sub": Field(STRING, required=True)}, open=True)
DECLARED = Declarations({"claims": CLAIMS, "custom": OPEN, "service": STRING, "now": TIMESTAMP})


def compiled(text: str, expected: Type = BOOL, declared: Declarations = DECLARED) -> Compiled:
    return compile_expression(text, declared, expected)


def said(text: str, severity: Severity, expected: Type = BOOL) -> list[tuple[str, str, str, str]]:
    return [
        (finding.code, text[finding.start : finding.end], finding.message, finding.hint)
        for finding in compiled(text, expected).findings
        if finding.severity is severity
    ]


@pytest.mark.parametrize(
    ("text", "code", "where", "message", "hint"),
    [
        ("claim.sub == 'x'", "cel-undeclared", "claim", "there is no variable 'claim' here", "did you mean `claims`?"),
        ("xyz == 1", "cel-undeclared", "xyz", "there is no variable 'xyz' here", "known here: `claims`, `custom`, `now`, `service`"),
        ("defs.on_man", "cel-undeclared", "on_man", "there is no definition 'on_man' here", ""),
        ("defs == 1", "cel-type", "defs", "a definition is read by its name, as in defs.on_main", ""),
        ("claims.repositry == 'x'", "cel-unknown-claim", "repositry", "github-actions has no 'repositry'", "did you mean `repository`?"),
        ("claims['Sub'] == 'x'", "cel-unknown-claim", "'Sub'", "github-actions has no 'Sub'", "did you mean `sub`?"),
        ("has(claims.enviroment)", "cel-unknown-claim", "enviroment", "github-actions has no 'enviroment'", "did you mean `environment`?"),
        ("claims.sub.name == 'x'", "cel-type", "claims.sub.name", "string has no members", ""),
        ("has(claims.sub.name)", "cel-type", "claims.sub", "string has no members", ""),
        ("claims.run_attempt == 1", "cel-type", "claims.run_attempt == 1", "string and int are never equal", 'write "1"'),
        ('claims.iat == "1"', "cel-type", 'claims.iat == "1"', "int and string are never equal", "write 1 without quotes"),
        ("claims.run_attempt == true", "cel-type", "claims.run_attempt == true", "string and bool are never equal", 'write "true"'),
        ("claims.sub == null", "cel-type", "claims.sub == null", "string and null are never equal", "has() asks whether a member is present"),
        ("claims.iat == 1.0", "cel-type", "claims.iat == 1.0", "int and double are never equal", "convert one of them with int() or double()"),
        ("claims.groups == 'x'", "cel-type", "claims.groups == 'x'", "list(string) and string are never equal", "it is a list: ask with 'in', the value on the left"),
        ("claims.iat < 1.5", "cel-type", "claims.iat < 1.5", "cannot order int and double", "convert one of them with int() or double()"),
        ("claims.iat < '1'", "cel-type", "claims.iat < '1'", "cannot order int and string", ""),
        ("claims.groups < ['x']", "cel-type", "claims.groups", "list(string) has no order", ""),
        ("'x' in claims.sub", "cel-type", "claims.sub", "'in' needs a list or a map on its right, not string", "ask for a part of a string with .contains()"),
        ("1 in claims.groups", "cel-type", "1 in claims.groups", "int is never an element of list(string)", ""),
        ("1 in claims.labels", "cel-type", "1", "the key of a map is a string, not int", ""),
        ("claims.groups['a'] == 'x'", "cel-type", "'a'", "a list is indexed by an int, not string", ""),
        ("claims.labels[1] == 'x'", "cel-type", "1", "a member is named by a string, not int", ""),
        ("claims.iat[0] == 1", "cel-type", "claims.iat[0]", "int cannot be indexed", ""),
        ("claims.sub + 1 == 'x'", "cel-type", "claims.sub + 1", "'+' does not take (string, int)", "convert the other one with string()"),
        ("claims.iat % 2.0 == 0", "cel-type", "claims.iat % 2.0", "'%' does not take (int, double)", "it takes (int, int)"),
        ("-claims.sub == 'x'", "cel-type", "-claims.sub", "'-' does not take (string)", "it takes (int) or (double)"),
        ("!claims.sub", "cel-type", "claims.sub", "a condition is bool, this is string", ""),
        ("claims.iat && true", "cel-type", "claims.iat", "a condition is bool, this is int", ""),
        ("(claims.iat ? 1 : 2) == 1", "cel-type", "claims.iat", "a condition is bool, this is int", ""),
        ("(now > now ? 1 : 'x') == 1", "cel-type", "now > now ? 1 : 'x'", "the two results have different types: int and string", ""),
        ("claims.sub.startsWith(1)", "cel-type", "claims.sub.startsWith(1)", "startsWith() does not take (string, int)", "it takes (string, string)"),
        ("claims.sub.startsWith()", "cel-type", "claims.sub.startsWith()", "startsWith() does not take (string)", "it takes (string, string)"),
        ("claims.sub.all(c, c == 'x')", "cel-type", "claims.sub", "all() needs a list or a map, not string", ""),
        ("claims.groups.all(g, g)", "cel-type", "g", "a condition is bool, this is string", ""),
        ("claims.groups.map(g, g.x)[0]", "cel-type", "g.x", "string has no members", ""),
        ("claims.iat.matches('x')", "cel-type", "claims.iat", "matches() searches a string, not int", ""),
        ("claims.sub.matches()", "cel-type", "claims.sub.matches()", "matches() takes a string and a pattern", ""),
        ("now - duration('1d') < now", "cel-type", "'1d'", "not a duration such as 1h30m", ""),
        ("timestamp('2024') < now", "cel-type", "'2024'", "not an RFC 3339 timestamp", ""),
        ("int('x') == 1", "cel-type", "'x'", "the string is not a decimal int", ""),
        ("claims.sub", "cel-result-type", "claims.sub", "this must be bool, it is string", ""),
        ("claims.sub.lowerascii() == 'x'", "cel-unsupported", "lowerascii", "the policy language has no function 'lowerascii'", "did you mean `lowerAscii`?"),
        ("type(claims.sub) == 'x'", "cel-unsupported", "type", "the policy language has no function 'type'", ""),
        ("startsWith(claims.sub, 'x')", "cel-unsupported", "startsWith", "startsWith() is written x.startsWith(...)", ""),
        ("claims.iat.int() == 1", "cel-unsupported", "int", "int() is written int(x)", ""),
        ("claims.sub in ['a', 1]", "cel-unsupported", "1", "a list holds values of one type; this one has string and int", ""),
        ("['a'] + [1] == []", "cel-unsupported", "['a'] + [1]", "a list holds values of one type; this one would have list(string) and list(int)", ""),
        ("claims.sub.matches(claims.sub)", "cel-unsupported", "claims.sub", "the pattern of matches() must be a literal string", "it is compiled with the policy"),
        ("now.getHours('Europe/Paris') < 8", "cel-unsupported", "'Europe/Paris'", "the time zone must be written out: UTC or a fixed offset such as '+02:00'", "named zones change with the host's database, so a policy cannot use them"),
        ("now.getHours(service) < 8", "cel-unsupported", "service", "the time zone must be written out: UTC or a fixed offset such as '+02:00'", "named zones change with the host's database, so a policy cannot use them"),
        ("claims.groups.all(defs, true)", "cel-unsupported", "claims.groups.all(defs, true)", "'defs' names the definitions", ""),
        ('claims.sub.matches("refs/(x|y")', "cel-regex", "refs/(x|y", "RE2 refuses the pattern: missing )", ""),
        (r"claims.sub.matches(r'a(?=b)')", "cel-regex", "(?=", "RE2 refuses the pattern: invalid perl operator", ""),
        ('claims.sub.matches("x[z-a]")', "cel-regex", "z-a", "RE2 refuses the pattern: invalid character class range", ""),
        (r'claims.sub.matches("\\d[z-a]")', "cel-regex", r'"\\d[z-a]"', "RE2 refuses the pattern: invalid character class range", ""),
        ('claims.sub.matches("(x{1,1000}){1,1000}")', "cel-regex", "{1,1000}", "RE2 refuses the pattern: invalid repetition size", ""),
        ('claims.sub.matches("(a{100}){10}(b{100}){10}")', "cel-regex", '"(a{100}){10}(b{100}){10}"', "the pattern compiles to more than 2000 instructions", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_the_authors_words(
    text: str, code: str, where: str, message: str, hint: str
) -> None:
    (finding,) = said(text, Severity.ERROR)

    assert (code, where, message, hint) == finding


@pytest.mark.parametrize(
    "text",
    [
        "claims.sub == 'x' && service in ['a', 'b'] && claims.iat > 1",
        "claims.groups.exists(g, g.split('/')[0] in ['a', 'b'])",
        "claims.labels['a'] == 'x' && claims.labels.team == 'y' && 'b' in claims.labels",
        "claims.anything.deep[0].deeper == 1 && claims.anything == 'x' && claims.anything in ['a']",
        "claims.anything.startsWith('x') && claims.anything > 1 && claims.anything + 1 == 2",
        "now - timestamp(claims.iat) < duration('1h') && now.getHours('UTC') < 18",
        "[[], [claims.sub]] == [] && ([] + claims.groups)[0] == 'x' && [].all(x, x == 1)",
        "claims.groups.filter(g, g != 'x').map(g, g.size()).exists(n, n > 3)",
        "dyn(claims.sub) == 1 && dyn(1) < 2.5 && (true ? dyn(1) : 'x') == 1",
        "claims.anything == null && claims.anything",
        "int(claims.run_attempt) > 1 && string(claims.iat).size() > 3",
        "claims.groups.exists(claims, claims == 'x')",
        "size(claims) > 3 && size(claims.labels) > 1 && claims.exists(name, name == 'sub')",
    ],
)
def test_what_is_right_is_accepted_in_silence(text: str) -> None:
    findings = compiled(text).findings

    assert [] == [finding for finding in findings if finding.code != "cel-constant"]


def test_all_mistakes_are_reported_at_once_and_in_order() -> None:
    text = "claims.nope == 'x' || claims.sub == 1 || foo() || claims.groups[true] == 'y'"

    assert ["nope", "claims.sub == 1", "foo", "true"] == [
        where for _, where, _, _ in said(text, Severity.ERROR)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("claims.sub", STRING),
        ("claims.anything", STRING),
        ("[claims.sub]", ListType(STRING)),
        ("[]", ListType(STRING)),
        ("claims.iat", INT),
        ("custom.extra", BOOL),
    ],
)
def test_the_result_may_be_of_any_type_that_is_asked_for(text: str, expected: Type) -> None:
    assert compiled(text, expected).program is not None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("claims.environment == 'x'", "claims.environment"),
        ("claims['environment'] == 'x'", "claims['environment']"),
        ("claims['kubernetes.io'].pod.name == 'x'", "claims['kubernetes.io'].pod"),
        ("has(claims['kubernetes.io'].pod.name)", "claims['kubernetes.io'].pod"),
        ("has(claims.environment) || claims.environment == 'x'", "claims.environment"),
        ("!has(claims.environment) && claims.environment == 'x'", "claims.environment"),
        ("has(claims.environment) ? true : claims.environment == 'x'", "claims.environment"),
        ("has(custom.environment) && claims.environment == 'x'", "claims.environment"),
        ("custom.team == 'x'", "custom.team"),
        ("(has(claims.environment) || service == 'x') && claims.environment == 'x'", "claims.environment"),
    ],
)  # fmt: skip
def test_an_optional_member_is_to_be_asked_for_first(text: str, where: str) -> None:
    (finding,) = [item for item in said(text, Severity.WARNING) if item[0] == "cel-unguarded"]

    assert where == finding[1]
    assert finding[3].startswith("ask first: ")


@pytest.mark.parametrize(
    "text",
    [
        "has(claims.environment) && claims.environment == 'x'",
        "'environment' in claims && claims.environment == 'x'",
        "claims.environment == 'x' && has(claims.environment)",
        "!has(claims.environment) || claims.environment == 'x'",
        "has(claims.environment) ? claims.environment == 'x' : service == 'x'",
        "!has(claims.environment) ? service == 'x' : claims.environment == 'x'",
        "!(!has(claims.environment) || claims.environment == 'x')",
        "has(claims.environment) && (claims.environment == 'x' || claims.environment == 'y')",
        "has(claims.environment) && claims.groups.exists(g, g == claims.environment)",
        "has(claims['kubernetes.io'].pod) && claims['kubernetes.io'].pod.name == 'x'",
        "has(custom.a) && has(custom.a.b) && custom.a.b == 'x'",
        "defs.deploys && claims.environment == 'x'",
        "claims.groups.map(g, has(claims.environment), claims.environment)[0] == 'x'",
        "(has(claims.environment) || has(claims.environment)) && claims.environment == 'x'",
    ],
)
def test_a_guard_is_understood(text: str) -> None:
    guard = compiled("has(claims.environment)").program
    assert guard is not None
    findings = compiled(text, BOOL, Declarations(DECLARED.variables, {"deploys": guard})).findings

    assert [] == [finding for finding in findings if finding.code == "cel-unguarded"]


def test_an_unguarded_member_is_reported_once() -> None:
    text = "claims.environment == 'x' || claims.environment == 'y'"

    assert 1 == len(said(text, Severity.WARNING))


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("true", "true", "this is always true"),
        ("1 == 2 || service == 'x'", "1 == 2", "this can never be true"),
        ("service == 'x' && 1 / 0 == 1", "1 / 0 == 1", "this is always an error: division by zero"),
        ("service == 'x' && service == 'y'", "service == 'x' && service == 'y'", "this can never be true"),
        ("service == 'x' && claims.iat > 1 && service in ['y', 'z']", "service == 'x' && claims.iat > 1 && service in ['y', 'z']", "this can never be true"),
        ("service != 'x' || service != 'y'", "service != 'x' || service != 'y'", "this is always true"),
        ("claims.iat > 1 || !(claims.iat > 1)", "claims.iat > 1 || !(claims.iat > 1)", "this is always true"),
        ("claims.iat > 1 && !(claims.iat > 1)", "claims.iat > 1 && !(claims.iat > 1)", "this can never be true"),
        ("has(claims.sub)", "has(claims.sub)", "this is always true"),
        ("service in []", "service in []", "this can never be true"),
        ("service == 'x' ? 1 == 2 : true", "1 == 2", "this can never be true"),
        ("true ? false : service == 'x'", "true", "this is always true"),
    ],
)  # fmt: skip
def test_a_condition_that_does_not_depend_on_anything_is_reported(
    text: str, where: str, message: str
) -> None:
    assert ("cel-constant", where, message) in [
        finding[:3] for finding in said(text, Severity.WARNING)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "service == 'x' || service == 'y'",
        "service != 'x' && service != 'y'",
        "service == 'x' && claims.sub == 'y'",
        "(service == 'x' && claims.sub == 'a') || (service == 'y' && claims.sub == 'b')",
        "has(custom.a) && has(custom.sub) || has(claims['kubernetes.io'].pod)",
        "claims.groups.all(custom, has(custom.sub))",
        "service != 'x' || service != 'x'",
        "service == 'x' ? claims.sub == 'a' : false",
        "service == 'x' ? true : claims.sub == 'a'",
    ],
)
def test_other_conditions_are_not(text: str) -> None:
    warnings = [item for item in said(text, Severity.WARNING) if item[0] == "cel-constant"]

    # Only the has() of a required member, where there is one.
    assert all("has() is not needed" in hint for _, _, _, hint in warnings)
    assert len(warnings) <= text.count("has(custom.sub)")


def test_the_program_is_missing_exactly_when_there_is_an_error() -> None:
    assert compiled("claims.environment == 'x'").program is not None
    assert compiled("claims.nope == 'x'").program is None
    assert compiled("claims.").program is None


@pytest.mark.fuzz
def test_no_text_raises_anything() -> None:
    """Expressions with characters changed, dropped, doubled and swapped give findings at most."""
    pick, generator = random.Random(SEED), Untyped(SEED)
    alphabet = (
        "()[]{}.,:?!&|=<>+-*/%\"'\\`abcxyz019_ \n\t\r\u00e9\ud800\x00 in true null has all r b u"
    )
    for _ in range(share(3000)):
        letters = list(generator.expression())
        for _ in range(pick.randrange(1, 5)):
            at = pick.randrange(len(letters))
            letters[at] = pick.choice(
                (pick.choice(alphabet), "", letters[at] * 2, pick.choice(letters))
            )
        text = "".join(letters)
        made = compile_expression(text, Declarations({"c": DYN, "now": DYN, "span": DYN}), DYN)

        assert (made.program is None) == any(
            finding.severity is Severity.ERROR for finding in made.findings
        )
        assert all(0 <= item.start <= item.end <= len(text) for item in made.findings), text
