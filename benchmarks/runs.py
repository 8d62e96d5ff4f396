"""Starting the product's engine for a benchmark: fresh process, prepared database, what it took."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, get_args

from benchmarks.child import Answer, Plan
from benchmarks.tree import Memory, watched_memory
from ecgbatch.settings import Scoring
from tests.support.postgres import Postgres

_NOT_OURS = ("GLIBC_TUNABLES", "MALLOC_", "OMP_", "MKL_", "KMP_", "ECGBATCH_")
AUTO, REFERENCE = "auto", "torch"


def environment() -> dict[str, str]:
    """As a user's shell: no malloc settings, no numbers of threads, no settings of the product."""
    return {name: text for name, text in os.environ.items() if not name.startswith(_NOT_OURS)}


def default_runtime() -> str:
    """What the product's settings choose by themselves."""
    known = get_args(Scoring.model_fields["runtime"].annotation)
    return AUTO if AUTO in known else REFERENCE


@dataclass(slots=True)
class Child:
    """A running engine; `memory` is the peak of all its processes since it was reset."""

    process: "subprocess.Popen[str]"
    memory: Memory | None

    def work(self) -> Answer:
        """One pass over the source.

        Raises:
            RuntimeError: the process ended instead.
        """
        return Answer(**self._asked("work"))

    def prepare(self) -> None:
        self._asked("prepare")

    def _asked(self, word: str) -> dict[str, Any]:
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the engine has no pipes")
        stdin.write(f"{word}\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError("the engine ended without an answer")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def started(plan: Plan, *, is_watched: bool = False) -> Iterator[Child]:
    """The engine in a fresh process.

    Args:
        is_watched: look at its memory every 0.2 s; that takes some CPU, so not while timing.
    """
    command = [sys.executable, "-m", "benchmarks.child", json.dumps(asdict(plan))]
    process = subprocess.Popen(  # noqa: S603 - our own module
        command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        if is_watched:
            with watched_memory(process.pid) as memory:
                yield Child(process, memory)
        else:
            yield Child(process, None)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait()


class Stage:
    """Plans over one source, each with a new database in which the bundle is active already."""

    def __init__(self, home: Path, source: Path, server: Postgres | None = None) -> None:
        """Args:
        home: a folder of its own, made here; takes the databases, if they are SQLite's.
        server: of PostgreSQL; None is SQLite.
        """
        self._home, self._source, self._server = home, source, server
        self._numbers = count(1)
        self._templates: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._empty = home / "empty"
        self._empty.mkdir(parents=True)
        self._key = home / "site.key"
        self._key.touch(mode=0o600)
        self._key.write_bytes(secrets.token_bytes(32))

    def plan(
        self, bundle: Path, scoring: dict[str, str | int] | None = None, *, is_null: bool = False
    ) -> Plan:
        """A plan of its own: nothing is scored in its database."""
        asked = Plan(
            source=str(self._source),
            url="",
            bundle=str(bundle),
            key_file=str(self._key),
            scoring={"runtime": REFERENCE} if is_null else dict(scoring or {}),
            is_null=is_null,
        )
        template = self._templates.get(str(bundle))
        if template is None:
            template = self._templates[str(bundle)] = self._prepared(asked)
        name = self._copied(template)
        self._names[self._url(name)] = name
        return replace(asked, url=self._url(name))

    def drop(self, plan: Plan) -> None:
        """Its database is not needed any more."""
        if self._server is not None:
            self._server.drop(self._names[plan.url])
            return
        for file in self._home.glob(f"{self._names[plan.url]}*"):
            file.unlink()

    def _prepared(self, asked: Plan) -> str:
        name = self._new_name()
        with started(replace(asked, source=str(self._empty), url=self._url(name))) as child:
            child.prepare()
        return name

    def _copied(self, template: str) -> str:
        if self._server is not None:
            return self._server.create(template)
        name = self._new_name()
        shutil.copy(self._home / template, self._home / name)
        return name

    def _new_name(self) -> str:
        return self._server.create() if self._server else f"d{next(self._numbers)}.db"

    def _url(self, name: str) -> str:
        return self._server.url(name) if self._server else f"sqlite:///{self._home / name}"
