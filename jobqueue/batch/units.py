"""Memory and times in the notation of batch systems."""

from __future__ import annotations


def pbs_memory(nbytes: int) -> str:
    """Return memory for PBS, which counts in powers of 1024 and writes KB, MB, GB for them.

    Rounded up to a whole unit, and at least ten of the unit, so that little is asked for in vain.

    Examples
    --------
    >>> pbs_memory(28 * 10**9), pbs_memory(1_500_000_000)
    ('27GB', '1431MB')
    """
    return _whole_units(nbytes, ("B", "KB", "MB", "GB"))


def slurm_memory(nbytes: int) -> str:
    """Return memory for Slurm, which counts in powers of 1024 and writes K, M, G for them.

    Examples
    --------
    >>> slurm_memory(28 * 10**9), slurm_memory(1_500_000_000), slurm_memory(1)
    ('27G', '1431M', '1K')
    """
    return _whole_units(nbytes, ("K", "M", "G"), smallest=1024)


_LSF_UNITS = ("b", "kb", "mb", "gb", "tb", "pb", "eb")


def lsf_memory(nbytes: int, unit: str) -> str:
    """Return memory for LSF, as a bare number of the site's unit; LSF counts in powers of 1000.

    Examples
    --------
    >>> lsf_memory(16 * 10**9, "mb"), lsf_memory(16 * 10**9 + 1, "gb")
    ('16000', '17')
    """
    return str(-(-nbytes // 1000 ** _LSF_UNITS.index(unit)))


def whole_mebibytes(nbytes: int) -> str:
    """Return memory as a bare number of MiB, rounded up, as HTCondor and OAR's sites count it.

    Examples
    --------
    >>> whole_mebibytes(16 * 2**30), whole_mebibytes(10**9)
    ('16384', '954')
    """
    return str(-(-nbytes // 2**20))


def kibibytes(nbytes: int) -> str:
    """Return disk space as a bare number of KiB, rounded up, as HTCondor counts it.

    Examples
    --------
    >>> kibibytes(2 * 2**30)
    '2097152'
    """
    return str(-(-nbytes // 2**10))


def hours_minutes(seconds: int) -> str:
    """Return a length of time as `HH:MM`, rounded up, as LSF reads it.

    Examples
    --------
    >>> hours_minutes(1800), hours_minutes(129_601)
    ('00:30', '36:01')
    """
    hours, minutes = divmod(-(-seconds // 60), 60)
    return f"{hours:02}:{minutes:02}"


def mebibytes(nbytes: int) -> str:
    """Return memory for a reader: whole GiB if it is, else whole MiB, rounded down.

    Examples
    --------
    >>> mebibytes(16 * 2**30), mebibytes(10**9)
    ('16GiB', '953MiB')
    """
    if nbytes >= 2**30 and nbytes % 2**30 == 0:
        return f"{nbytes >> 30}GiB"
    return f"{nbytes >> 20}MiB" if nbytes >= 2**20 else f"{nbytes}B"


def _whole_units(nbytes: int, units: tuple[str, ...], *, smallest: int = 1) -> str:
    """Return `nbytes` rounded up, in the largest unit of which there are at least ten."""
    size, unit = smallest, units[0]
    for larger in units[1:]:
        if nbytes < 10 * size * 1024:
            break
        size, unit = size * 1024, larger
    return f"{max(1, -(-nbytes // size))}{unit}"
