"""The types of keywords: what each parser takes and makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.config import values


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (["-m n"], ["-m n"]),
        (("-m n", "-r n"), ["-m n", "-r n"]),
        ("-M galaxy", ["-M galaxy"]),
        ("-l a=1\n-l b=2\n", ["-l a=1", "-l b=2"]),
        ({"-C casper": None}, ["-C casper"]),
        ({"-C": "casper"}, ["-C casper"]),
        ({"-C": ""}, ["-C"]),
        ([{"-C": "casper"}, "-r n"], ["-C casper", "-r n"]),
        ({"--nice": 5}, ["--nice 5"]),
        (["", None, "-m n"], ["-m n"]),
        ([], []),
        ({}, []),
        ("", []),
        (None, []),
    ],
)
def test_directives_come_in_every_shape_that_the_field_uses(given: Any, lines: list[str]) -> None:
    """A list, one text or a mapping; each directive is one line."""
    assert values.directives(given) == lines


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("--lifetime 18m", ["--lifetime", "18m"]),
        (["--lifetime", "18m"], ["--lifetime", "18m"]),
        (
            ["--worker-port 10000:10070", "--no-dashboard"],
            ["--worker-port", "10000:10070", "--no-dashboard"],
        ),
        ("--local-directory $TMPDIR", ["--local-directory", "$TMPDIR"]),
        ("--name 'a b'  --x=\"$HOME/c d\"", ["--name", "'a b'", '--x="$HOME/c d"']),
        (r"--name a\ b", ["--name", r"a\ b"]),
        (None, []),
    ],
)
def test_arguments_are_split_and_stay_as_the_shell_wants_them(given: Any, words: list[str]) -> None:
    """Quotes and variables stand for the node's shell to read."""
    assert values.shell_words(given) == words


@given(st.lists(st.sampled_from(["--a", "'b c'", '"d\\"e"', "$F", "g\\ h", "i=j"])))
def test_splitting_arguments_loses_nothing(words: list[str]) -> None:
    """Words joined by spaces are found again as they were."""
    assert values.shell_words(" ".join(words)) == words


def test_an_open_quote_is_refused() -> None:
    """It would swallow the rest of the worker's command line."""
    with pytest.raises(ValueError, match="a quote without its partner"):
        values.shell_words("--name 'a b")


def test_script_lines_keep_their_indentation_and_empty_lines() -> None:
    """A prologue is shell code, here-documents included."""
    assert values.script_lines("if x; then\n\n  y\nfi\n") == ["if x; then", "", "  y", "fi"]
    assert values.script_lines(["a", "", "  b"]) == ["a", "", "  b"]


@pytest.mark.parametrize("value", [{"echo": "x"}, [{'echo "a': 'b"'}]])
def test_a_script_line_that_yaml_took_for_a_mapping_is_told(value: Any) -> None:
    """An unquoted ``echo "a: b"`` is a mapping to YAML."""
    with pytest.raises(ValueError, match="needs quotes"):
        values.script_lines(value)


def test_attributes_from_mappings_and_lines() -> None:
    """HTCondor's attributes are names and values."""
    expected = {"accounting_group": "ligo.sim", "+WantX": "True"}
    assert values.attributes({"accounting_group": "ligo.sim", "+WantX": True}) == expected
    assert values.attributes(["accounting_group = ligo.sim", "+WantX=True"]) == expected
    with pytest.raises(ValueError, match="name = value"):
        values.attributes(["nothing"])


@pytest.mark.parametrize("value", ["24", 24, 24.0, np.int64(24), " 24 "])
def test_whole_numbers_of_every_make(value: Any) -> None:
    """NumPy's integers are welcome, and text from YAML or variables."""
    number = values.count(1)(value)
    assert number == 24
    assert type(number) is int


@pytest.mark.parametrize("value", [0, -1, 2.5, "2.5", "many", True, [4], {}, float("inf"), "1e3"])
def test_what_is_no_count_is_refused(value: Any) -> None:
    """The value and the least allowed number are told."""
    with pytest.raises(ValueError, match="not a whole number ≥ 1"):
        values.count(1)(value)


def test_text_is_one_line() -> None:
    """Numbers and paths are written out; a second line would be a line of its own in the script."""
    assert values.text(" geop,compute ") == "geop,compute"
    assert values.text(1234) == "1234"
    assert values.text(Path("/x")) == "/x"
    assert values.text("  ") is None
    for wrong in ("a\nrm -r b", "a\x00b", True, ["a"], {"a": 1}):
        with pytest.raises(ValueError, match="is not"):
            values.text(wrong)


def test_switches_as_yaml_and_variables_write_them() -> None:
    """yes/no, on/off, true/false, 1/0."""
    assert [values.switch(v) for v in (True, "yes", "ON", "1", "true")] == [True] * 5
    assert [values.switch(v) for v in (False, "no", "off", 0, "False")] == [False] * 5
    with pytest.raises(ValueError, match="neither true nor false"):
        values.switch("maybe")


def test_a_forgotten_unit_is_told() -> None:
    """Four bytes are never meant."""
    with pytest.raises(ValueError, match='as in "4GB"'):
        values.memory(4)


def test_protocols_with_and_without_slashes() -> None:
    """dask writes ``tls://``."""
    assert values.protocol("tls://") == values.protocol("TLS") == "tls"
    with pytest.raises(ValueError, match="none of tls, tcp"):
        values.protocol("ucx://")


def test_the_worker_command_of_dask_means_ours() -> None:
    """Sites copied dask's default into their files; another worker of dask's can't join us."""
    assert values.worker_command("distributed.cli.dask_worker") is None
    assert values.worker_command("my_site.worker") == "my_site.worker"
    with pytest.raises(ValueError, match="can't work for jobqueue"):
        values.worker_command("dask_cuda.cli")


def test_options_are_normalised() -> None:
    """Scheduler options keep their types; their names are Python's."""
    assert values.options({"dashboard-address": ":8787", "port": 0}) == {
        "dashboard_address": ":8787",
        "port": 0,
    }
    with pytest.raises(ValueError, match="not a mapping"):
        values.options("port=0")


@pytest.mark.parametrize(
    "written", [{"GPU": 2, "licence": "0.5"}, "GPU=2, licence=0.5", ["GPU=2", "licence=0.5"]]
)
def test_amounts_of_resources(written: Any) -> None:
    """A mapping, or the text that dask's workers take."""
    assert values.amounts(written) == {"GPU": 2, "licence": 0.5}
    assert isinstance(values.amounts(written)["GPU"], int)


@pytest.mark.parametrize("wrong", [{"GPU": 0}, {"GPU": "two"}, "GPU", {"G P U": 1}, {"GPU": True}])
def test_no_amounts_of_resources(wrong: Any) -> None:
    """Name and amount are told, and how they are written."""
    with pytest.raises(ValueError, match="as in GPU: 2"):
        values.amounts(wrong)
