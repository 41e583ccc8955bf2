"""What one Grid Engine is told: files, and answers to `qconf`, as text.

Intervals that a site counts in minutes are short. The queue's shell is the default, /bin/csh in
`posix_compliant` mode, under which a script's first line means nothing: a job script has to say
itself which shell it is for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from layout import SLOTS, Lab

HOST = "localhost"  # Grid Engine's name for this machine


def bootstrap(lab: Lab) -> str:
    """Tell the programs where everything is."""
    return f"""\
admin_user none
default_domain none
ignore_fqdn false
spooling_method classic
spooling_lib libspoolc
spooling_params {lab.common};{lab.spool}/qmaster
binary_path {lab.folder}/bin
qmaster_spool_dir {lab.spool}/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""


def global_configuration(lab: Lab, default: str) -> str:
    """Let root submit, and tell of ended jobs at once."""
    return changed(
        default,
        {
            "execd_spool_dir": f"{lab.spool}/execd",
            "mailer": "/bin/true",
            # The profile of whoever runs the tests is no part of them.
            "login_shells": "ksh",
            "min_uid": "0",
            "min_gid": "0",
            "load_report_time": "00:00:02",
            "reporting_params": "accounting=true reporting=false flush_time=00:00:01 "
            "accounting_flush_time=00:00:00 joblog=false sharelog=00:00:00",
        },
    )


def scheduling(default: str) -> str:
    """Start jobs at once, whatever the load."""
    return changed(
        default,
        {
            "schedule_interval": "0:0:1",
            "flush_submit_sec": "1",
            "flush_finish_sec": "1",
            "job_load_adjustments": "NONE",
            "load_adjustment_decay_time": "0:0:0",
            "schedd_job_info": "true",
        },
    )


def queue(default: str) -> str:
    """Give the one host's queue its slots."""
    return changed(
        default,
        {
            "qname": "all.q",
            "hostlist": HOST,
            "slots": str(SLOTS),
            "pe_list": "smp",
            "load_thresholds": "NONE",
        },
    )


def host(default: str) -> str:
    """Name the one host."""
    return changed(default, {"hostname": HOST})


def parallel_environment(default: str) -> str:
    """Let jobs have several slots of a host."""
    return changed(default, {"pe_name": "smp", "slots": "999", "allocation_rule": "$pe_slots"})


def changed(text: str, values: Mapping[str, str]) -> str:
    """Return a configuration with some values replaced, those on wrapped lines included."""
    text = text.replace("\\\n", " ")
    for name, value in values.items():
        text, found = re.subn(rf"^{name}\s.*$", f"{name} {value}", text, flags=re.MULTILINE)
        if not found:
            text += f"{name} {value}\n"
    return text
