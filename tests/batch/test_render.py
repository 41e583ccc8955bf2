"""Templates: a site's own, and what is said about mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobqueue.batch.render import render
from jobqueue.batch.slurm import SlurmAdapter
from jobqueue.cluster.job_spec import JobSpec
from jobqueue.errors import ConfigError


def script(template: Path | str, **values: object) -> str:
    spec = JobSpec(cores=2, memory=2**30, template=str(template), **values)  # type: ignore[arg-type]
    return spec.render(SlurmAdapter(), ["tls://10.0.0.1:4000"], credentials="/c")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site.sh.j2"


def test_site_adds_directives(site: Path) -> None:
    """A block may be kept and added to; the rest of the script stays as it was."""
    site.write_text(
        '{% extends "slurm.sh.j2" %}\n'
        "{% block directives %}\n{{ super() -}}\n#SBATCH --qos=big\n{% endblock %}\n"
    )
    ours = script("slurm.sh.j2").splitlines()
    theirs = script(site).splitlines()
    assert [line for line in theirs if line not in ours] == ["#SBATCH --qos=big"]
    assert [line for line in ours if line not in theirs] == []


def test_site_skips_in_its_own_directives_too(site: Path) -> None:
    """`job_directives_skip` works on what a site's template writes as on what ours does."""
    site.write_text(
        '{% extends "slurm.sh.j2" %}\n{% block directives %}\n#SBATCH --qos=big\n{% endblock %}\n'
    )
    assert "#SBATCH" not in script(site, job_directives_skip=("--qos",))


def test_site_replaces_a_block(site: Path) -> None:
    """A block that a site writes anew stands in place of ours."""
    site.write_text(
        '{% extends "slurm.sh.j2" %}\n{% block shebang %}\n#!/bin/bash -l\n{% endblock %}\n'
    )
    assert script(site).splitlines()[0] == "#!/bin/bash -l"


def test_epilogue_of_a_site_is_reached(site: Path) -> None:
    """Lines after the worker keep the shell: the agent does not take its place then."""
    assert "wait" not in script("slurm.sh.j2")
    site.write_text('{% extends "slurm.sh.j2" %}{% block epilogue %}\nrm -rf x\n{% endblock %}')
    lines = script(site).splitlines()
    assert lines.index("rm -rf x") > lines.index("agent=$!")
    assert lines[-1] == 'exit "$status"'


def test_site_template_of_the_same_name_as_ours(tmp_path: Path) -> None:
    """A site's `slurm.sh.j2` may extend our `slurm.sh.j2`, not itself."""
    own = tmp_path / "slurm.sh.j2"
    own.write_text('{% extends "slurm.sh.j2" %}{% block prologue %}\necho ours\n{% endblock %}')
    assert "echo ours" in script(own)


def test_site_templates_extend_each_other(tmp_path: Path, site: Path) -> None:
    """A template finds others in its own folder."""
    (tmp_path / "common.sh.j2").write_text(
        '{% extends "slurm.sh.j2" %}{% block prologue %}\necho common\n{% endblock %}'
    )
    site.write_text('{% extends "common.sh.j2" %}')
    assert "echo common" in script(site)


def test_a_block_that_overrides_nothing_is_an_error(site: Path) -> None:
    """A misspelt block would be left out without a word; within ours all names are free."""
    site.write_text('{% extends "slurm.sh.j2" %}\n{% block prolog %}\nx\n{% endblock %}')
    with pytest.raises(ConfigError, match=r"line 2: there is no block 'prolog' .* prologue"):
        script(site)
    site.write_text(
        '{% extends "slurm.sh.j2" %}{% block prologue %}'
        "{% block mine %}\nx\n{% endblock %}{% endblock %}"
    )
    assert "x" in script(site).splitlines()


def test_path_with_variables(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The template's path may hold variables and a tilde."""
    site.write_text('{% extends "slurm.sh.j2" %}')
    monkeypatch.setenv("SITE", str(site.parent))
    monkeypatch.setenv("HOME", str(site.parent))
    assert script("$SITE/site.sh.j2") == script("~/site.sh.j2") == script("slurm.sh.j2")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello\n",
        "#!/bin/sh\npython -m jobqueue.worker\n",
        '{% extends "slurm.sh.j2" %}{% block worker %}\nsrun mine\n{% endblock %}',
    ],
)
def test_a_script_without_a_worker_is_an_error(site: Path, text: str) -> None:
    """It names the template and both remedies; jobs that start no worker would help nobody."""
    site.write_text(text)
    with pytest.raises(ConfigError) as caught:
        script(site)
    message = str(caught.value)
    assert message.startswith(f"{site}: ")
    assert "does not hold the worker command (no line with tls://10.0.0.1:4000)" in message
    assert '{% extends "slurm.sh.j2" %}' in message
    assert '{{ worker_lines | join(" ") }}' in message


@pytest.mark.parametrize(
    "text",
    [
        '{{ worker_lines | join(" ") }}',
        'srun apptainer exec x.sif python -m jobqueue.worker {{ worker_lines[1:] | join(" ") }}',
        '{{ worker_lines | join(" ") | replace("exec ", "") }}\nrm -rf x\n',
        '{% extends "slurm.sh.j2" %}{% block worker %}\nA=1 {{ super() }}{% endblock %}',
    ],
)
def test_the_worker_command_may_be_put_differently(site: Path, text: str) -> None:
    """In a container, without `exec`, behind something else: what it is told has to be there."""
    site.write_text(text)
    assert "--credentials /c" in script(site)


def test_no_such_template() -> None:
    """A missing file is named in full, with the names of our own templates."""
    with pytest.raises(ConfigError, match=r"no file /nonexistent/x\.sh\.j2; .*slurm\.sh\.j2"):
        script("/nonexistent/x.sh.j2")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("#!/bin/sh\n{% if %}\n", 2, "Expected an expression"),
        ("#!/bin/sh\n\n{{ quue }}\n", 3, "'quue' is undefined"),
        (
            '{% extends "slurm.sh.j2" %}\n{% block prologue %}\n{{ cores / 0 }}\n{% endblock %}',
            3,
            "",
        ),
        ("{{ cores.__class__.__mro__ }}\n", 1, "unsafe"),
        ("a\n{{ cores | nosuch }}\n", 2, "nosuch"),
        ("a\n{{ job_name + cores }}\n", 2, "str"),
    ],
)
def test_mistake_in_a_template(site: Path, text: str, line: int, says: str) -> None:
    """A mistake is told with the template's path and line."""
    site.write_text(text)
    with pytest.raises(ConfigError) as caught:
        script(site)
    assert f"{site}, line {line}: " in str(caught.value)
    assert says in str(caught.value)


def test_parent_that_does_not_exist(site: Path) -> None:
    """Extending a template that is nowhere names both."""
    site.write_text('{% extends "slrum.sh.j2" %}')
    with pytest.raises(ConfigError, match=r"site\.sh\.j2: .*'slrum\.sh\.j2'.*slurm\.sh\.j2"):
        script(site)


def test_nothing_is_escaped() -> None:
    """A script is no HTML."""
    text = script("slurm.sh.j2", job_script_prologue=("echo <&> '\"'",))
    assert "echo <&> '\"'" in text


def test_template_without_variables() -> None:
    """An unknown name is an error even before anything else is given."""
    with pytest.raises(ConfigError, match="undefined"):
        render("base.sh.j2", {})
