"""The native kernels: an optional extension. Everything else about the package is in pyproject.toml.

Without a compiler, or where torch cannot be imported while building, the package installs without it and draws
the same masks with plain torch operations. DROPKIT_REQUIRE_KERNELS=1 makes a failed build an error.
"""

import os
import platform
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCE = Path("src/dropkit/ops/kernels/csrc")
REQUIRED = os.environ.get("DROPKIT_REQUIRE_KERNELS", "0") not in ("", "0")
X86 = platform.machine().lower() in ("x86_64", "amd64")

# Each file is compiled for its own instruction set; which one runs is decided at run time. GCC's straight-line
# vectoriser only gets in the way of code that is written in vectors, and its own headers trip its own warnings.
INTRINSICS = ["-fno-tree-slp-vectorize", "-Wno-uninitialized", "-Wno-maybe-uninitialized"]
AVX512 = [
    "-mavx512f",
    "-mavx512bw",
    "-mavx512dq",
    "-mavx512vl",
    "-mf16c",
    "-mfma",
    "-mprefer-vector-width=512",
]
VECTOR_FLAGS = {
    "kernels_avx512": [*AVX512, *INTRINSICS],
    "kernels_avx2": ["-mavx2", "-mf16c", "-mfma", *INTRINSICS],
    "kernels_portable": [],
    "attention_avx512": [*AVX512, *INTRINSICS],
    "attention_avx2": ["-mavx2", "-mfma", "-mf16c", *INTRINSICS],
    "attention_portable": [],
}
FILES = ("attention", "attention_library", "choose", "dense", "gaussian", "library", "module", "strided")
# Rounding is part of what the library promises: no contraction to fused multiply-add.
FLAGS = [
    "-O3",
    "-g0",
    "-std=c++17",
    "-fvisibility=hidden",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
]


def torch_folder() -> Path:
    """Return where torch is; the build needs its headers."""
    import torch

    return Path(torch.__file__).parent


class BuildKernels(build_ext):
    """Builds the kernels if it can."""

    def run(self) -> None:
        """Build; on failure go on without, unless the kernels are required."""
        try:
            super().run()
        except Exception as error:
            if REQUIRED:
                raise
            print(f"dropkit: built without native kernels: {error}", file=sys.stderr)

    def build_extension(self, extension: Extension) -> None:
        """Compile each instruction set's file with its own flags, then the rest, and link."""
        if self.compiler.compiler_type != "unix":
            raise RuntimeError(
                f"the kernels need GCC or Clang, not a compiler of type {self.compiler.compiler_type}"
            )
        torch = torch_folder()
        objects = []
        for name in VECTOR_FLAGS if X86 else ["kernels_portable", "attention_portable"]:
            objects += self.compiler.compile(
                [str(SOURCE / f"{name}.cpp")],
                output_dir=self.build_temp,
                macros=extension.define_macros,
                extra_postargs=[*FLAGS, *VECTOR_FLAGS[name]],
                depends=extension.depends,
            )
        extension.extra_objects = objects
        extension.include_dirs = [str(torch / "include")]
        extension.library_dirs = [str(torch / "lib")]
        super().build_extension(extension)


def extension() -> Extension:
    """Describe the module, on the stable interfaces of Python and of torch."""
    macros = [("TORCH_TARGET_VERSION", "0x020a000000000000"), ("Py_LIMITED_API", "0x030b0000")]
    return Extension(
        "dropkit.ops.kernels._native",
        sources=[str(SOURCE / f"{name}.cpp") for name in FILES],
        depends=[str(path) for path in sorted(SOURCE.glob("*"))],
        define_macros=[*macros, ("DROPKIT_X86", "1")] if X86 else macros,
        extra_compile_args=FLAGS,
        libraries=["torch_cpu", "c10"],
        py_limited_api=True,
    )


setup(
    ext_modules=[extension()],
    cmdclass={"build_ext": BuildKernels},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
