"""Compiles every .pyx of the two packages. `ONLY=prefix,prefix` builds some; `SHARDKV_DEBUG=1` compiles with assertions, bounds checks and sanitizers."""
import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

ROOT = Path(__file__).parent
DEBUG = os.environ.get("SHARDKV_DEBUG") == "1"
ONLY = tuple(filter(None, os.environ.get("ONLY", "").split(",")))
FLAGS = ["-O1", "-g", "-fsanitize=undefined", "-fno-sanitize-recover"] if DEBUG else ["-O3", "-g1", "-fno-semantic-interposition"]


def module_name(source: Path) -> str:
    return ".".join(source.relative_to(ROOT).with_suffix("").parts)


SOURCES = sorted(path for package in ("shardkv", "workers") for path in (ROOT / package).rglob("*.pyx"))
EXTENSIONS = [
    Extension(
        module_name(source),
        [str(source.relative_to(ROOT))],
        include_dirs=["shardkv"],
        depends=["shardkv/atomic.h"],
        extra_compile_args=["-std=gnu11", "-Wall", "-Wno-unused-function", *FLAGS],
        extra_link_args=["-fsanitize=undefined"] if DEBUG else [],
    )
    for source in SOURCES
    if not ONLY or module_name(source).startswith(ONLY)
]

setup(
    ext_modules=cythonize(
        EXTENSIONS,
        language_level=3,
        build_dir="build/cython",
        compiler_directives={
            "boundscheck": DEBUG,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": DEBUG,
            "embedsignature": True,
        },
    ),
)
