"""What pyproject.toml cannot say: what refuses to build, and that an sdist keeps its links."""

import os
import shutil
import sys
from pathlib import Path

import setuptools
from setuptools.command import sdist

if sys.platform == "win32":
    sys.exit("dintmac runs on Linux and macOS; on Windows, install it in WSL")
if int(setuptools.__version__.split(".")[0]) < 77:
    sys.exit("dintmac is built by setuptools 77 or newer; leave out --no-build-isolation")


class LinkedSdist(sdist.sdist):
    """The links to the rooms, which setuptools would follow, beside the rooms themselves."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        for link in Path("src/dintmac").iterdir():
            if link.is_symlink():
                shutil.rmtree(base_dir / link)
                (base_dir / link).symlink_to(os.readlink(link))


setuptools.setup(cmdclass={"sdist": LinkedSdist})
