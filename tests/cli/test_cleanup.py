"""`jobqueue cleanup`: its words and its status. Programs are killed in `tests/cluster`."""

from __future__ import annotations

import pytest

from jobqueue.cli.main import main
from jobqueue.cluster.ledger import Ledger, Owner

GONE = Owner(Owner.me().host, "earlier boot", 42, 1)


def ledger_of(owner, **entry):
    """Make a ledger as a program leaves it."""
    ledger = Ledger.create(cluster="grid", system="slurm", **entry)
    ledger.entry.owner = owner
    ledger.submitted("tag", ["5"])
    return ledger


def test_nothing_to_do(places, capsys):
    """What a living program uses is not touched."""
    ledger = ledger_of(Owner.me())
    assert main(["cleanup"]) == 0
    assert capsys.readouterr().out.startswith("Nothing was left behind")
    assert ledger.folder.exists()


def test_what_cannot_be_cancelled_is_told_and_kept(places, capsys):
    """Here because there is no Slurm; status 1."""
    ledger = ledger_of(GONE)
    assert main(["cleanup"]) == 1
    said = capsys.readouterr().out
    assert said.startswith(f"grid (slurm, process 42 on {GONE.host}, 20")
    assert "kept for another try: " in said
    assert "squeue" in said
    assert ledger.folder.exists()


@pytest.mark.parametrize("command", ["squeue", "scancel"])
def test_what_was_cancelled_is_named(command, places, capsys):
    """With the ids, whether the batch system still has the job or not; the folder is gone."""
    ledger = ledger_of(GONE)
    listed = "5|RUNNING|None|N/A|node|" if command == "scancel" else ""
    for name in ("squeue", "scancel", "sacct", "scontrol"):
        file = places / "bin" / name
        file.write_text(f"#!{places}/bin/bash\necho '{listed if name == 'squeue' else ''}'\n")
        file.chmod(0o755)
    assert main(["cleanup"]) == 0
    said = capsys.readouterr().out
    assert said.rstrip().endswith("cancelled 5" if listed else "no jobs left")
    assert not ledger.folder.exists()


def test_programs_elsewhere_only_when_asked(places, capsys):
    """Whether they run cannot be seen from here."""
    ledger_of(Owner("another.machine", "boot", 42, 1))
    assert main(["cleanup"]) == 0
    assert "Nothing" in capsys.readouterr().out
    assert main(["cleanup", "--elsewhere"]) == 1
    assert "process 42 on another.machine" in capsys.readouterr().out
