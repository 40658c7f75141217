"""What pyproject.toml cannot say: what refuses to build, and that an sdist keeps its links."""

import sys

import setuptools

if sys.platform == "win32":
    sys.exit("dintmac runs on Linux and macOS; on Windows, install it in WSL")
if int(setuptools.__version__.split(".")[0]) < 77:
    sys.exit("dintmac is built by setuptools 77 or newer; leave out --no-build-isolation")

setuptools.setup()
