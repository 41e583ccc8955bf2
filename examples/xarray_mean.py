"""Take means over a netCDF file with xarray, whose arrays workers read piece by piece.

    python examples/xarray_mean.py
    python examples/xarray_mean.py --file temperatures.nc --years 40

The file is made if it is not there: daily temperatures on a grid of the globe. The program is
xarray's as it is written everywhere; `Client()` is what has it computed by jobqueue. On a batch
system, put `SLURMCluster(cores=8, memory="32GB") as cluster, Client(cluster)` in its place, with
`cluster.scale(jobs=4)`, and the file where the nodes see it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from jobqueue import Client

try:
    import dask.array  # noqa: F401 - what xarray computes with
    import numpy as np
    import pandas as pd
    import scipy.io  # noqa: F401 - what xarray reads this kind of file with
    import xarray as xr
except ImportError as missing:
    sys.exit(f"This example needs xarray and dask ({missing}): pip install 'jobqueue[examples]'")

WARMING = 0.02
"""Degrees a year."""


def write_file(path, years):
    """Make up temperatures: cold at the poles, seasons that differ by hemisphere, a warming."""
    time = pd.date_range("1980-01-01", periods=365 * years, freq="D")
    latitude, longitude = np.linspace(-87.5, 87.5, 36), np.linspace(0.0, 355.0, 72)
    north, day = np.radians(latitude)[None, :, None], np.arange(len(time))[:, None, None]
    field = 30 * np.cos(north) - 12 * np.sin(north) * np.cos(2 * np.pi * day / 365.25)
    field = field + WARMING * day / 365.25 + np.cos(np.radians(longitude))
    grid = {"time": time, "latitude": latitude, "longitude": longitude}
    temperature = xr.DataArray(field.astype("f4"), grid, attrs={"units": "degC"})
    temperature.to_dataset(name="temperature").to_netcdf(path, engine="scipy")


def area_mean(field):
    """Return the mean over an area: a degree of longitude counts for less towards the poles."""
    weights = np.cos(np.radians(field.latitude))
    return field.weighted(weights).mean(("latitude", "longitude"))


def means(path):
    """Return the mean of each place, of the north in each season, and of the globe in each year."""
    with xr.open_dataset(path, chunks={"time": 200}) as data:
        temperature = data.temperature
        north = temperature.sel(latitude=slice(0, 90))
        wanted = xr.Dataset(
            {
                "climate": temperature.mean("time"),
                "seasons": area_mean(north).groupby("time.season").mean(),
                "years": area_mean(temperature).groupby("time.year").mean(),
            }
        )
        return wanted.compute()  # all at once: each piece is read once


def main():
    """Write the file, and print what its means tell."""
    options = parse_arguments()
    with Client(), tempfile.TemporaryDirectory() as temporary:
        path = Path(options.file or Path(temporary) / "temperatures.nc").absolute()
        if not path.exists():
            write_file(path, options.years or 4)
        found = means(path)
    warmest = found.climate.isel(found.climate.argmax(...))
    print(f"The warmest place is {warmest.latitude:.1f}° N, {warmest.longitude:.1f}° E: ", end="")
    print(f"{warmest:.2f} °C on average.")
    seasons = ", ".join(f"{float(one):.2f} °C in {one.season.item()}" for one in found.seasons)
    print(f"The northern hemisphere has {seasons}.")
    slope = np.polyfit(found.year, found.years, 1)[0]
    print(f"The globe warms by {slope:.3f} °C a year.")


def parse_arguments():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", help="a file that this has written before, or is to write")
    parser.add_argument("--years", type=years, help="years to make up (4)")
    options = parser.parse_args()
    if options.file and options.years and Path(options.file).exists():
        parser.error(f"{options.file} is there already: --years is for a file that is to be made")
    return options


def years(text):
    """Read a number of years; one alone shows no warming."""
    number = int(text)
    if not 2 <= number <= 200:
        raise argparse.ArgumentTypeError(f"{text} has to be from 2 to 200")
    return number


if __name__ == "__main__":
    main()
