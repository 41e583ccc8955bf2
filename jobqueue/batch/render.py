"""From a template to the text of a job script.

Templates are Jinja files in `templates/`. A site puts its own in place of one of them; it usually
extends ours (`{% extends "slurm.sh.j2" %}`) and overrides a block. docs/templates.md lists blocks,
variables and filters.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jinja2
from jinja2 import nodes
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from jobqueue.batch import directives, units
from jobqueue.batch.command_line import shell_word
from jobqueue.errors import ConfigError

_SAFE_VALUE = re.compile(r"[^\s\"'\\]*")


def render(template: str, variables: Mapping[str, object]) -> str:
    """Return the job script.

    Parameters
    ----------
    template
        The name of a template of ours (`slurm.sh.j2`), or the path of a site's own, in which `~`
        and variables are expanded.
    variables
        What the template may use; a name that is not among them is an error.

    Raises
    ------
    ConfigError
        The template is missing or has a mistake: file, line and what is wrong; or its script would
        start no worker.

    Examples
    --------
    >>> render("base.sh.j2", variables).splitlines()[0]  # doctest: +SKIP
    '#!/usr/bin/env bash'
    """
    path = None if template in _our_templates() else _site_template(template)
    environment = _environment(path)
    try:
        script = environment.get_template(str(path or template)).render(variables)
    except jinja2.TemplateNotFound as error:
        raise ConfigError(
            f"template {template}: there is no template {str(error)!r} beside it or among ours "
            f"({', '.join(_our_templates())})"
        ) from error
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"{error.filename}, line {error.lineno}: {error.message}") from error
    except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(f"{_place(error, template)}: {error}") from error
    if path is not None:
        _check_blocks(environment, path)
        _check_worker(script, variables, path)
    return script


def _site_template(template: str) -> Path:
    path = Path(os.path.expandvars(template)).expanduser().absolute()
    if not path.is_file():
        raise ConfigError(
            f"template: {template!r}: there is no file {path}; give the path of a template, or one "
            f"of ours: {', '.join(_our_templates())}"
        )
    return path


def _packaged() -> jinja2.PackageLoader:
    return jinja2.PackageLoader("jobqueue.templates", package_path="")


def _our_templates() -> list[str]:
    return [name for name in _packaged().list_templates() if name.endswith(".j2")]


def _check_blocks(environment: SandboxedEnvironment, path: Path) -> None:
    """Refuse a block that overrides nothing: Jinja would leave it out without a word."""
    body = environment.parse(path.read_text("utf-8")).body
    parents = [node.template for node in body if isinstance(node, nodes.Extends)]
    ours = _our_templates()
    if not any(isinstance(parent, nodes.Const) and parent.value in ours for parent in parents):
        return
    known = dict.fromkeys(block for name in ours for block in environment.get_template(name).blocks)
    for node in body:
        if isinstance(node, nodes.Block) and node.name not in known:
            raise ConfigError(
                f"{path}, line {node.lineno}: there is no block {node.name!r} to override; our "
                f"blocks are {', '.join(known)}"
            )


def _check_worker(script: str, variables: Mapping[str, object], path: Path) -> None:
    """Refuse a script that starts no worker: its jobs would run, end, and never be heard of.

    A site may put the command differently, or within another, so that only what no worker can do
    without is looked for: the line after the program, with the scheduler's address.
    """
    lines = variables.get("worker_lines")
    if isinstance(lines, Sequence) and len(lines) > 1 and lines[1] not in script:
        raise ConfigError(
            f"{path}: the script rendered from it does not hold the worker command (no line with "
            f"{lines[1]}); let it extend one of ours, as in {{% extends "
            '"slurm.sh.j2" %}, or write {{ worker_lines | join(" ") }} where the worker is to '
            "start; docs/templates.md shows both"
        )


def _environment(site_template: Path | None) -> SandboxedEnvironment:
    """Return what templates are read with.

    A site's template goes by its path and all others by name, ours first, so that a site's
    `slurm.sh.j2` can extend our `slurm.sh.j2`. Sandboxed: a template writes a script, which runs on
    a node; it has no business in the process that renders it.
    """
    loaders: list[jinja2.BaseLoader] = [_packaged()]
    if site_template is not None:
        loaders.insert(0, jinja2.FunctionLoader(_exactly(site_template)))
        loaders.append(jinja2.FileSystemLoader(site_template.parent))
    environment = SandboxedEnvironment(
        loader=jinja2.ChoiceLoader(loaders),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "pbs_memory": units.pbs_memory,
        "slurm_memory": units.slurm_memory,
        "lsf_memory": units.lsf_memory,
        "whole_mebibytes": units.whole_mebibytes,
        "kibibytes": units.kibibytes,
        "hours_minutes": units.hours_minutes,
        "directive_value": directive_value,
        "shell_word": shell_word,
        "without_skipped": _without_skipped,
    }
    return environment


def _exactly(path: Path) -> Callable[[str], tuple[str, str, Callable[[], bool]] | None]:
    def load(name: str) -> tuple[str, str, Callable[[], bool]] | None:
        return (path.read_text("utf-8"), name, lambda: True) if name == str(path) else None

    return load


def directive_value(value: object) -> str:
    """Return a directive's value, quoted if it holds a blank.

    Examples
    --------
    >>> directive_value("regular"), directive_value("/my data/logs")
    ('regular', '"/my data/logs"')
    """
    text = str(value)
    return text if _SAFE_VALUE.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'


@jinja2.pass_context
def _without_skipped(context: Context, text: str) -> str:
    kept = directives.without(
        text.splitlines(),
        context["directives_skip"],
        prefix=context["directive_prefix"],
        aliases=context["option_aliases"],
    )
    return "".join(f"{line}\n" for line in kept)


def _place(error: BaseException, template: str) -> str:
    """Return the template's file and line where the error came up.

    Jinja makes tracebacks in which a template's lines are frames like any other.
    """
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith(".j2")]
    frames = frames or [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.endswith(".py")
    ]
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else f"template {template}"
