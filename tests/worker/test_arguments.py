"""The job agent's command line."""

import os

import pytest

from jobqueue.worker.argument_values import AUTO
from jobqueue.worker.arguments import AgentOptions, parse_arguments
from jobqueue.worker.limits import Fractions


def test_what_a_job_script_says() -> None:
    """All options of the command that batch clusters write into their scripts."""
    words = (
        "tls://10.0.0.1:4000,tls://192.168.0.1:4000 --credentials /home/me/.jobqueue/c "
        "--nworkers 6 --nthreads 4 --memory-limit 16GiB --name jq-7 --job-id 1234_5 "
        "--death-timeout 90 --local-directory /tmp/me --interface ib0 --resources GPU=2,MEM=1.5 "
        "--exit-record /logs/jq.json --lifetime 18m --lifetime-stagger 30s --preload a --preload b"
    )
    assert parse_arguments(words.split()) == AgentOptions(
        addresses=("tls://10.0.0.1:4000", "tls://192.168.0.1:4000"),
        credentials="/home/me/.jobqueue/c",
        nworkers=6,
        nthreads=4,
        memory_limit=16 * 2**30,
        name="jq-7",
        job_id="1234_5",
        death_timeout=90.0,
        local_directory="/tmp/me",
        interface="ib0",
        resources={"GPU": 2.0, "MEM": 1.5},
        exit_record="/logs/jq.json",
        lifetime=1080.0,
        lifetime_stagger=30.0,
        preload=("a", "b"),
    )


def test_what_a_job_says_of_its_pool_its_time_and_its_nodes() -> None:
    """Times in seconds or with a unit; what is empty was not known."""
    words = (
        "tcp://a:1 --pool gpu --walltime 3600 --walltime-margin 2m --job-started 1700000000 "
        "--nodes 4"
    )
    options = parse_arguments(words.split())
    assert (options.pool, options.nodes, options.job_started) == ("gpu", 4, 1.7e9)
    assert (options.walltime, options.walltime_margin) == (3600.0, 120.0)
    words = ["tcp://a:1", "--pool", "", "--walltime", "", "--job-started", ""]
    options = parse_arguments(words)
    assert (options.pool, options.walltime, options.job_started) == ("", None, None)


def test_defaults() -> None:
    """An address is enough."""
    assert parse_arguments(["unix:///run/me/sock"]) == AgentOptions(
        addresses=("unix:///run/me/sock",), name=f"{os.uname().nodename}-{os.getpid()}"
    )


def test_empty_values_say_nothing() -> None:
    """Unset variables of a shell, as in --job-id "$SLURM_JOB_ID", leave the default."""
    options = parse_arguments(["tcp://a:1", "--job-id", "", "--name", "", "--memory-limit", ""])
    assert options.job_id is None
    assert options.name
    assert options.memory_limit == AUTO


def test_what_is_done_when_memory_runs_short() -> None:
    """Each fraction for itself, or not at all."""
    words = "tcp://a:1 --memory-target 0.3 --memory-spill off --memory-pause 1 --memory-terminate 0"
    options = parse_arguments(words.split())
    assert options.memory_fractions == Fractions(0.3, None, 1.0, None)


def test_ports_to_listen_on() -> None:
    """By either of its names, and on an address of this node."""
    for option in ("--worker-port", "--port"):
        options = parse_arguments(["tcp://a:1", option, "3000:3026", "--host", "10.0.0.2"])
        assert (options.ports, options.host) == ((3000, 3026), "10.0.0.2")


def test_a_scheduler_file_in_place_of_an_address() -> None:
    """One of the two, not both."""
    options = parse_arguments(["--scheduler-file", "/shared/scheduler.json"])
    assert (options.addresses, options.scheduler_file) == ((), "/shared/scheduler.json")


def test_addresses_without_a_protocol() -> None:
    """TLS unless another is named; those that name their own keep it."""
    assert parse_arguments(["login1:8786"]).addresses == ("tls://login1:8786",)
    options = parse_arguments(["login1:8786,unix:///s", "--protocol", "tcp"])
    assert options.addresses == ("tcp://login1:8786", "unix:///s")


def test_as_many_workers_as_suit_the_node() -> None:
    """Decided where the node is known."""
    assert parse_arguments(["tcp://a:1", "--nworkers", "auto"]).nworkers == AUTO


def test_crashed_workers_may_be_left_alone() -> None:
    """By the names that users of dask know."""
    assert parse_arguments(["tcp://a:1", "--nanny"]).nanny
    assert not parse_arguments(["tcp://a:1", "--no-nanny"]).nanny


def test_workers_by_the_name_that_dask_had_before() -> None:
    """`--nprocs` is `--nworkers`."""
    assert parse_arguments(["tcp://a:1", "--nprocs", "3"]).nworkers == 3


def test_what_dask_shares_keeps_its_meaning() -> None:
    """Among options that mean nothing here, those that do are read as ever."""
    options = parse_arguments(
        [
            *("tcp://a:1", "--no-dashboard", "--lifetime", "18m", "--lifetime-stagger", "4m"),
            *("--worker-port", "10000:10070", "--local-directory", "/tmp/x", "--no-nanny"),
            *("--resources", "a=1 b=2", "--interface", "ib0", "--preload", "site_setup"),
        ]
    )
    assert (options.lifetime, options.lifetime_stagger) == (1080.0, 240.0)
    assert (options.local_directory, options.interface) == ("/tmp/x", "ib0")
    assert options.resources == {"a": 1.0, "b": 2.0}
    assert options.preload == ("site_setup",)
    assert not options.nanny
    assert options.ports == (10000, 10070)
    assert [option.option for option in options.ignored] == ["--no-dashboard"]


def test_addresses_may_also_stand_apart() -> None:
    """Several words, commas within them, in the order of preference."""
    options = parse_arguments(["tls://a:1,tls://b:2", "tls://c:3", "--nworkers", "2"])
    assert options.addresses == ("tls://a:1", "tls://b:2", "tls://c:3")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("", "give either ADDRESS or --scheduler-file"),
        ("a --scheduler-file b", "give either ADDRESS or --scheduler-file"),
        ("a --protocol ucx", "argument --protocol: 'ucx' is no protocol: write tls or tcp"),
        ("a --port 70000", "argument --worker-port/--port: '70000' is no port"),
        ("a --worker-port 9:8", "'9:8' is no port"),
        ("a --memory-pause 80", "argument --memory-pause: '80' is no fraction"),
        ("a --memory-pause much", "'much' is no fraction of the memory limit: write 0.7, or off"),
        (",", "',' holds no address"),
        ("a --no-such-option", "unrecognized arguments: --no-such-option"),
        ("a --no-dashboard --no-such-option", "unrecognized arguments: --no-such-option"),
        ("a --worker-port", "argument --worker-port/--port: expected one argument"),
        ("a --no-dashbord", "unrecognized arguments: --no-dashbord"),
        ("a --mem 4GB", "unrecognized arguments: --mem 4GB"),
        ("a --nworkers 0", "argument --nworkers: '0' is no number from 1"),
        ("a --nthreads -1", "argument --nthreads"),
        ("a --memory-limit lots", "argument --memory-limit: 'lots' is no size"),
        ("a --death-timeout soon", "argument --death-timeout: 'soon' is no duration"),
        ("a --death-timeout 0", "must be more than 0"),
        ("a --lifetime 5x", "argument --lifetime: '5x' is no duration"),
        ("a --walltime 0", "argument --walltime: '0' is no time to wait"),
        ("a --job-started noon", "'noon' is no time in seconds since 1970"),
        ("a --nodes 0", "argument --nodes: '0' is no number from 1"),
        ("a --resources GPU", "argument --resources: 'GPU' is no resource"),
        ("a --resources =2", "'=2' is no resource"),
        ("a --resources GPU=two", "'GPU=two' is no resource"),
        ("a --resources GPU=-1", "'GPU=-1' is no resource"),
        ("a --resources GPU=nan", "'GPU=nan' is no resource"),
    ],
)
def test_mistakes(words: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Usage, option, value and what is wrong with it, on standard error, and status 2."""
    with pytest.raises(SystemExit) as caught:
        parse_arguments(words.split())
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("usage: python -m jobqueue.worker")
    assert complaint in message
