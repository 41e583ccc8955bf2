"""Options of dask's worker command that mean nothing here."""

import pytest

from jobqueue.worker.arguments import parse_arguments
from jobqueue.worker.dask_options import DASK_OPTIONS, Ignored


@pytest.mark.parametrize(("option", "takes_value", "why"), DASK_OPTIONS)
def test_each_is_accepted_and_explained(option: str, takes_value: bool, why: str) -> None:
    """With its value, which is not taken for an address, in either spelling."""
    words = [option, ":0"] if takes_value else [option]
    options = parse_arguments(["tcp://a:1", *words, "--nthreads", "2"])
    assert options.addresses == ("tcp://a:1",)
    assert options.nthreads == 2
    assert options.ignored == (Ignored(option, ":0" if takes_value else None, why),)
    if takes_value:
        assert parse_arguments(["tcp://a:1", f"{option}=:0"]).ignored == options.ignored


def test_all_that_were_given_are_told() -> None:
    """In their order; none is remembered from one command line to the next."""
    options = parse_arguments(["a", "--no-dashboard", "--nanny-port", "0", "--no-dashboard"])
    assert [option.option for option in options.ignored] == [
        "--no-dashboard",
        "--nanny-port",
        "--no-dashboard",
    ]
    assert parse_arguments(["a"]).ignored == ()


def test_the_help_leaves_them_out(capsys: pytest.CaptureFixture[str]) -> None:
    """They would bury the options that do something; one sentence tells of them."""
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])
    text = capsys.readouterr().out
    assert "dashboard" not in text
    assert "options of dask's worker command are accepted" in text
