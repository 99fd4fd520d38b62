from dataclasses import dataclass

import pytest

from dropkit.cli import main


@dataclass
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture
def dropkit(capsys):
    """Run the command in this process and return exit code, stdout and stderr."""

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Answer(end.value.code or 0, out, err)

    return run


@pytest.fixture
def refused(dropkit):
    """Run the command, check that it is refused as it should be, and return the line that says why."""

    def run(*arguments):
        answer = dropkit(*arguments)
        assert answer.code == 2
        assert answer.out == ""
        assert answer.err.count("\n") == 1, answer.err
        assert answer.err.startswith("dropkit: ")
        assert "Traceback" not in answer.err
        return answer.err

    return run
