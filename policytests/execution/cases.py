"""
Cases: what is run, counted and reported one by one.

What lives here: each kind of case, with its id and place, and how it is judged and explained.
Not here: pytest (`collection.items`), and the comparison itself (`judging`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from regauth.engine.access.outcomes import Refusal
from regauth.engine.access.scope import Access, accesses, repository_accesses
from regauth.engine.source.problems import Location
from regauth.policytests.suites.suite import (
    Because,
    Exemption,
    GridTest,
    Mark,
    RequestTest,
    SnapshotTest,
    Suite,
    TableCell,
)

from .access_table import AccessTable, Row
from .causes import Cause, Causes
from .evaluation import AccessAnswer, Evaluation, Session
from .judging import Judgment, judge_because, judge_cell, judge_named, judge_request, mark_of
from .telling import tell_access, tell_login


class Case(Protocol):
    """One thing that a suite asserts."""

    @property
    def id(self) -> str:
        """The stable name within the suite."""

    @property
    def location(self) -> Location:
        """Where the suite says it."""

    @property
    def exemption(self) -> Exemption | None:
        """Why it may fail, or is not run."""

    def judge(self, evaluation: Evaluation) -> Judgment:
        """Run the case."""

    def tell(self, evaluation: Evaluation) -> Iterator[str]:
        """Explain line by line what happened, for a case that did not pass."""

    def cause(self, evaluation: Evaluation, causes: Causes) -> Cause | None:
        """Return the part of the policy that made the case fail, if it is one part."""

    def accesses(self) -> Iterator[tuple[str, Access]]:
        """Yield each access that is decided for it, with its token."""


@dataclass(frozen=True, slots=True)
class CellCase:
    """A cell of a grid."""

    test: GridTest
    cell: TableCell

    @property
    def id(self) -> str:
        """The test's name, and the cell's in brackets."""
        return f"{self.test.name}[{self.cell.id}]"

    @property
    def location(self) -> Location:
        """The mark's place."""
        return self.cell.location

    @property
    def exemption(self) -> Exemption | None:
        """The test's."""
        return self.test.exemption

    def judge(self, evaluation: Evaluation) -> Judgment:
        """Decide the cell's access and compare."""
        cell = self.cell
        service = evaluation.linked.services[self.test.name]
        return judge_cell(cell, evaluation.answer(cell.token, service, cell.access))

    def tell(self, evaluation: Evaluation) -> Iterator[str]:
        """Tell the cell's access."""
        cell = self.cell
        session = evaluation.session(cell.token, evaluation.linked.services[self.test.name])
        answer = session.answer(cell.access)
        policy = evaluation.linked.policy
        return tell_access(policy, session, cell.access, answer, cell.mark)

    def cause(self, evaluation: Evaluation, causes: Causes) -> Cause | None:
        """Return what decided the cell's access."""
        cell = self.cell
        session = evaluation.session(cell.token, evaluation.linked.services[self.test.name])
        return causes.of(session, cell.access, session.answer(cell.access))

    def accesses(self) -> Iterator[tuple[str, Access]]:
        """Yield the cell's access."""
        yield self.cell.token, self.cell.access


@dataclass(frozen=True, slots=True)
class BecauseCase:
    """The grants and denials that must have decided one token's cells of a grid."""

    test: GridTest
    because: Because

    @property
    def id(self) -> str:
        """The test's name, and the token's in brackets."""
        return f"{self.test.name}[{self.because.token}-because]"

    @property
    def location(self) -> Location:
        """The place of the token in `because`."""
        return self.because.location

    @property
    def exemption(self) -> Exemption | None:
        """The test's."""
        return self.test.exemption

    def judge(self, evaluation: Evaluation) -> Judgment:
        """Decide the token's cells and compare what decided them."""
        service = evaluation.linked.services[self.test.name]
        return judge_because(
            self.because,
            [evaluation.answer(token, service, access) for token, access in self.accesses()],
        )

    def tell(self, evaluation: Evaluation) -> Iterator[str]:
        """Tell what decided each of the token's cells."""
        service = evaluation.linked.services[self.test.name]
        yield f"expected  {', '.join(self.because.names) or 'nothing'}"
        for token, access in self.accesses():
            answer = evaluation.answer(token, service, access)
            source = "" if isinstance(answer, Refusal) else answer.source
            yield f"{mark_of(answer).value:<9} {access}  {source}".rstrip()

    def cause(self, evaluation: Evaluation, causes: Causes) -> Cause | None:
        """Return what refused the login, or the first statement that decided unnamed."""
        service = evaluation.linked.services[self.test.name]
        for token, access in self.accesses():
            answer = evaluation.answer(token, service, access)
            if isinstance(answer, Refusal):
                return causes.of_refusal(answer)
            if answer.source not in ("", *self.because.names):
                return causes.statement(answer.source)
        return None

    def accesses(self) -> Iterator[tuple[str, Access]]:
        """Yield the token's accesses in the grid."""
        for cell in self.test.cells:
            if cell.token == self.because.token:
                yield cell.token, cell.access


@dataclass(frozen=True, slots=True)
class RequestCase:
    """A login with scopes."""

    test: RequestTest

    @property
    def id(self) -> str:
        """The test's name."""
        return self.test.name

    @property
    def location(self) -> Location:
        """The test's place."""
        return self.test.location

    @property
    def exemption(self) -> Exemption | None:
        """The test's."""
        return self.test.exemption

    def judge(self, evaluation: Evaluation) -> Judgment:
        """Log in, decide each access asked for, and compare."""
        session = evaluation.session(self.test.token, evaluation.linked.services[self.test.name])
        asked = accesses(self.test.scopes)
        answers = session.answers(asked)
        # A request that costs too much is refused as a whole, like a login.
        whole = next((one for one in (session.outcome, *answers) if isinstance(one, Refusal)), None)
        return judge_request(self.test, asked, answers, whole)

    def tell(self, evaluation: Evaluation) -> Iterator[str]:
        """Tell the login, then each access that is not as expected."""
        service = evaluation.linked.services[self.test.name]
        session = evaluation.session(self.test.token, service)
        policy = evaluation.linked.policy
        yield from tell_login(policy, session)
        if isinstance(session.outcome, Refusal):
            return
        for access, answer in self._unexpected(session):
            yield ""
            yield from list(tell_access(policy, session, access, answer, None))[1:]

    def cause(self, evaluation: Evaluation, causes: Causes) -> Cause | None:
        """Return what refused the login, or what decided the first unexpected access."""
        session = evaluation.session(self.test.token, evaluation.linked.services[self.test.name])
        if isinstance(session.outcome, Refusal):
            return causes.of_refusal(session.outcome)
        access, answer = next(self._unexpected(session), (None, None))
        if access is None or answer is None:
            return None
        return causes.of(session, access, answer)

    def _unexpected(self, session: Session) -> Iterator[tuple[Access, AccessAnswer]]:
        """Yield each access that is not answered as expected."""
        wanted = self.test.granted or ()
        asked = accesses(self.test.scopes)
        for access, answer in zip(asked, session.answers(asked), strict=True):
            allowed = not isinstance(answer, Refusal) and answer.allowed
            if allowed != (access in wanted) or mark_of(answer) is Mark.ERROR:
                yield access, answer

    def accesses(self) -> Iterator[tuple[str, Access]]:
        """Yield each access asked for."""
        for access in accesses(self.test.scopes):
            yield self.test.token, access


@dataclass(frozen=True, slots=True)
class SnapshotCase:
    """A table of everything some tokens can do, compared with the one kept in a file."""

    test: SnapshotTest

    @property
    def id(self) -> str:
        """The test's name."""
        return self.test.name

    @property
    def location(self) -> Location:
        """The test's place."""
        return self.test.location

    @property
    def exemption(self) -> Exemption | None:
        """The test's."""
        return self.test.exemption

    def judge(self, evaluation: Evaluation) -> Judgment:
        """Pass a table that names its tags; syrupy compares it with the file, in `items`."""
        service = evaluation.linked.services[self.test.name]
        return judge_named(
            [evaluation.answer(token, service, access) for token, access in self.accesses()]
        )

    def tell(self, evaluation: Evaluation) -> Iterator[str]:
        """Say nothing: syrupy shows the difference."""
        del evaluation
        return iter(())

    def cause(self, evaluation: Evaluation, causes: Causes) -> Cause | None:
        """Return None: many parts of the policy make a table."""
        del evaluation, causes
        return None

    def accesses(self) -> Iterator[tuple[str, Access]]:
        """Yield every action on every repository, for every token."""
        for token in self.test.tokens:
            for access in repository_accesses(self.test.repositories):
                yield token, access

    def table(self, evaluation: Evaluation) -> AccessTable:
        """Return what the tokens can do."""
        service = evaluation.linked.services[self.test.name]
        rows: dict[tuple[str, str], Row] = {}
        for token, access in self.accesses():
            answer = evaluation.answer(token, service, access)
            name = access.place
            row = rows.setdefault((token, name), Row(token, name))
            row.add(access.action, answer)
        return AccessTable(tuple(rows.values()))


def cases(suite: Suite) -> Iterator[Case]:
    """Yield a suite's cases in their order."""
    for test in suite.tests:
        match test:
            case GridTest():
                for cell in test.cells:
                    yield CellCase(test, cell)
                for because in test.because:
                    yield BecauseCase(test, because)
            case RequestTest():
                yield RequestCase(test)
            case SnapshotTest():
                yield SnapshotCase(test)
