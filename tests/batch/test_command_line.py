"""One command line, as text for a shell and as words for none."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.batch.command_line import CommandLine, Expanded, Raw

ENVIRON = {"TMPDIR": "/tmp/job 5", "USER": "ada", "HOME": "/home/ada"}
PRINT = ("printf", "%s\\0")


def through_a_shell(command: CommandLine) -> list[str]:
    script = " \\\n    ".join(command.shell_lines())
    env = {**ENVIRON, "PATH": "/usr/bin:/bin"}
    run = subprocess.run(["sh", "-c", script], env=env, capture_output=True, check=True)
    return run.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize(
    ("word", "becomes"),
    [
        ("plain", ["plain"]),
        ("a b'c\"$HOME", ["a b'c\"$HOME"]),
        (Expanded("$TMPDIR/$USER"), ["/tmp/job 5/ada"]),
        (Expanded("${TMPDIR}/a b*"), ["/tmp/job 5/a b*"]),
        (Expanded("~/x y"), ["/home/ada/x y"]),
        (Expanded("$UNSET/x"), ["/x"]),
        (Raw("a 'b c'  d"), ["a", "b c", "d"]),
    ],
)
def test_a_word_means_the_same_in_a_shell_and_without(word: str, becomes: list[str]) -> None:
    """Literal text, text with variables, and shell text: by both ways the same words."""
    command = CommandLine((PRINT, ("--option", word)))
    assert through_a_shell(command) == ["--option", *becomes]
    assert command.argv(ENVIRON)[2:] == ["--option", *becomes]


def test_what_its_author_has_quoted_is_left_alone() -> None:
    """A folder that was quoted in the configuration is not quoted again."""
    assert through_a_shell(CommandLine((PRINT, (Expanded('"$TMPDIR"/x'),)))) == ["/tmp/job 5/x"]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_literal_words_never_change(words: list[str]) -> None:
    """No text is dangerous: a literal word arrives as it was."""
    assert CommandLine(((*words,),)).argv({}) == words


def test_nasty_words_pass_through_a_shell() -> None:
    """Neither line breaks nor substitutions in a literal word mean anything to the shell."""
    words = ["$(id)", "`id`", "a\nb", "\\", "'", "", "-e", "*", "!x"]
    assert through_a_shell(CommandLine((PRINT, tuple(words)))) == words


@pytest.mark.parametrize(
    ("command", "result"),
    [
        ("python -m x", "exec python -m x"),
        ("srun -n 1 python", "exec srun -n 1 python"),
        ("OMP_NUM_THREADS=1 python", "OMP_NUM_THREADS=1 exec python"),
        ("A='1 2' B=\"3 4\" python", "A='1 2' B=\"3 4\" exec python"),
        ("module load x && python", "module load x && exec python"),
        ("cd /x; python", "cd /x; exec python"),
        ("/opt/a=b/python", "exec /opt/a=b/python"),
    ],
)
def test_exec_stands_before_the_command_proper(command: str, result: str) -> None:
    """Only the last command takes the shell's place."""
    assert CommandLine(((Raw(command),),)).shell_lines(execute=True) == (result,)
