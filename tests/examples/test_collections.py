"""The examples of dask's collections, compared with what one process computes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def test_delays_by_carrier_hour_and_year_are_those_of_pandas(run_example, tmp_path):
    """The folder is made of as many files as there are years."""
    pytest.importorskip("dask.dataframe", reason="dask's data frames are not installed here")
    import pandas as pd

    printed = run_example("flight_delays", "--folder", "flights", "--years", "3")
    paths = sorted((tmp_path / "flights").iterdir())
    assert [path.name for path in paths] == ["1990.csv", "1991.csv", "1992.csv"]
    flights = pd.concat(map(pd.read_csv, paths))
    flown = flights[~flights.cancelled]

    assert printed.startswith(f"{flights.cancelled.mean():.2%} of the flights were cancelled")
    carriers = flown.groupby("carrier").delay.agg(["mean", "std", "count"])
    assert carriers.sort_values("mean").round(2).to_string() in printed
    hours = flown.groupby("hour").delay.mean()
    assert f"The best hour is {hours.idxmin()}, with {hours.min():.2f} minutes" in printed
    assert f"the worst {hours.idxmax()}, with {hours.max():.2f}." in printed
    late = (flown.delay > 15).groupby(flown.date.str[:4]).mean()
    assert "\n".join(f"  {year}: {share:.2%}" for year, share in late.items()) in printed


def test_an_array_larger_than_what_workers_hold(run_example):
    """They have less memory at any time than the array alone would need."""
    pytest.importorskip("dask.array", reason="dask's arrays are not installed here")
    printed = run_example("blocked_array", "--size", "8000", "--block", "500")
    assert "mean 1.0000, standard deviation 0.4082" in printed  # of x + x.T: 1/√6
    assert "512 MB in 256 blocks" in printed
    [memory] = re.findall(r"no worker ever had more than (\d+) MB", printed)
    assert int(memory) < 512


def test_means_over_a_netcdf_file(run_example, tmp_path):
    """They are what the file was made of: warmest at the equator and in summer, and a warming."""
    pytest.importorskip("xarray", reason="xarray is not installed here")
    pytest.importorskip("dask.array", reason="dask's arrays are not installed here")
    pytest.importorskip("scipy", reason="scipy is not installed here")
    printed = run_example("xarray_mean", "--file", "temperatures.nc", "--years", "2")
    assert (tmp_path / "temperatures.nc").stat().st_size > 2 * 365 * 36 * 72 * 4
    assert "The warmest place is 2.5° N, 0.0° E: 30.99 °C" in printed
    seasons = {name: float(one) for one, name in re.findall(r"(\d+\.\d+) °C in (\w+)", printed)}
    assert sorted(seasons, key=seasons.get) == ["DJF", "SON", "MAM", "JJA"]
    assert "warms by 0.020 °C a year" in printed


@pytest.mark.parametrize(
    ("example", "option"),
    [
        ("flight_delays", "--years"),
        ("flight_delays", "--flights"),
        ("blocked_array", "--size"),
        ("blocked_array", "--block"),
    ],
)
def test_amounts_that_make_nothing(refused_by_example, example, option):
    """One line says so."""
    pytest.importorskip("dask.dataframe", reason="dask's data frames are not installed here")
    assert f"argument {option}: 0 is too few" in refused_by_example(example, option, "0")


def test_years_that_cannot_be_made_up(refused_by_example, tmp_path):
    """One shows no warming; and a file that is there has the years that it has."""
    pytest.importorskip("xarray", reason="xarray is not installed here")
    pytest.importorskip("dask.array", reason="dask's arrays are not installed here")
    pytest.importorskip("scipy", reason="scipy is not installed here")
    assert "1 has to be from 2 to" in refused_by_example("xarray_mean", "--years", "1")
    (tmp_path / "there.nc").touch()
    line = refused_by_example("xarray_mean", "--file", "there.nc", "--years", "3")
    assert "there.nc is there already: --years is for a file that is to be made" in line


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("blocked_array", "dask"),
        ("flight_delays", "dask"),
        ("grid_search", "sklearn"),
        ("xarray_mean", "dask"),
    ],
)
def test_who_lacks_a_library_is_told_what_to_install(tmp_path, name, library):
    """In one line, before anything is begun."""
    (tmp_path / f"{library}.py").write_text("raise ImportError('not here')")
    done = subprocess.run(
        [sys.executable, "-P", str(EXAMPLES / f"{name}.py")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("This example needs ")
    assert done.stderr.endswith(" (not here): pip install 'jobqueue[examples]'\n")
