"""Compiles every .pyx of the two packages.

`ONLY=prefix,prefix` builds some; `JOBS=N` compilers at once;
`SHARDKV_DEBUG=1` compiles with assertions, bounds checks and sanitizers.
"""
import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).parent
DEBUG = os.environ.get("SHARDKV_DEBUG") == "1"
JOBS = int(os.environ.get("JOBS") or os.cpu_count() or 1)
ONLY = tuple(filter(None, os.environ.get("ONLY", "").split(",")))
SANITIZE = ["-fsanitize=undefined"] if DEBUG else []
FLAGS = ["-O1", "-g", "-fno-sanitize-recover", *SANITIZE] if DEBUG else ["-O3", "-g1", "-fno-semantic-interposition"]
CHECKS = {"boundscheck": DEBUG, "initializedcheck": DEBUG, "wraparound": False, "cdivision": True}


def module_name(source: Path) -> str:
    return ".".join(source.relative_to(ROOT).with_suffix("").parts)


SOURCES = sorted(path for package in ("shardkv", "workers") for path in (ROOT / package).rglob("*.pyx"))
HEADERS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "shardkv").glob("*.h"))
EXTENSIONS = [
    Extension(
        module_name(source),
        [str(source.relative_to(ROOT))],
        include_dirs=["shardkv"],
        depends=HEADERS,
        extra_compile_args=["-std=gnu11", "-Wall", "-Wno-unused-function", *FLAGS],
        extra_link_args=SANITIZE,
    )
    for source in SOURCES
    if not ONLY or module_name(source).startswith(ONLY)
]

if __name__ == "__main__":  # cythonize's helper processes may import this file again
    setup(
        options={"build_ext": {"parallel": JOBS}},
        ext_modules=cythonize(
            EXTENSIONS,
            language_level=3,
            nthreads=JOBS, build_dir="build/cython",
            compiler_directives={**CHECKS, "embedsignature": True},
        ),
    )
