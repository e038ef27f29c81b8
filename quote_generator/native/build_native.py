"""Builds the extension module ``quote_generator.native._tdx`` from the C sources here.

In cffi's API mode the GIL is released around every call, and the compiler checks the declarations.
The module is hardened, and the same wherever it is built with one compiler and one cffi: no path of
the machine is in it, and it is the same for every Python that has the stable ABI. Free-threaded
ones before 3.15 have none: there cffi builds for the one Python that builds.
"""

import os
import shlex
import sysconfig

from cffi import FFI

SOURCES = ["check.c", "configfs.c", "device.c", "job.c", "qgs.c"]
HEADERS = ["Python.h", "device.h", "job.h", "tdx.h"]

# The part of tdx.h that Python uses; "..." lets the compiler fill in what it knows better.
DECLARATIONS = """
#define TDX_REPORT_DATA_SIZE ...
#define TDX_REPORT_SIZE ...
#define TDX_GRACE_MS ...
#define TDX_MAX_JOBS ...

enum tdx_code {
    TDX_OK, TDX_NOT_AVAILABLE, TDX_NOT_PERMITTED, TDX_BUSY, TDX_TIMED_OUT, TDX_SERVICE_FAILED,
    TDX_CORRUPT_ANSWER, TDX_NOT_SUPPORTED, ...
};
enum tdx_operation {
    TDX_QUOTE_CONFIGFS, TDX_QUOTE_QGS, TDX_QUOTE_LEGACY, TDX_REPORT, TDX_EXTEND_FILE,
    TDX_EXTEND_IOCTL, TDX_READ_FILE, ...
};

typedef struct {
    int operation;
    const char *path;
    uint8_t report_data[...];
    int64_t timeout_ms;
    int sweep;
    uint32_t qgs_cid;
    uint32_t qgs_port;
    const char *qgs_socket;
    uint8_t index;
    uint8_t digest[...];
    ...;
} tdx_request;

typedef struct {
    int code;
    int sys_errno;
    char path[...];
    const char *reason;
    uint64_t status;
    char provider[...];
    size_t size;
    uint8_t data[...];
    ...;
} tdx_answer;

typedef struct tdx_job tdx_job;

tdx_job *tdx_start(const tdx_request *request, int *error);
int tdx_wait_for_room(int timeout_ms);
int tdx_wait(tdx_job *job, int timeout_ms);
const tdx_answer *tdx_answer_of(const tdx_job *job);
void tdx_release(tdx_job *job);
const char *tdx_check_quote(const uint8_t *quote, size_t size, const uint8_t *report_data,
                            size_t *exact_size);
const char *tdx_unsupported(const uint8_t *quote, size_t size);
"""

COMPILER_OPTIONS = [
    "-std=gnu11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-fvisibility=hidden",
    "-pthread",
    "-fstack-protector-strong",
    # Compilers before GCC 12 and C libraries before glibc 2.34 take 3 for 2.
    "-U_FORTIFY_SOURCE",
    "-D_FORTIFY_SOURCE=3",
    "-g0",  # debug information names the folders
]
LINKER_OPTIONS = ["-pthread", "-Wl,-z,relro,-z,now,-z,noexecstack", "-Wl,--strip-all"]


def forget_library_folders() -> None:
    """Have setuptools link without the folders that the interpreter itself was linked with.

    Many interpreters bring a run path along, which would name a folder of the build machine in
    the module; it needs nothing but libc.
    """
    chosen = os.environ.get("LDSHARED")
    words = shlex.split(chosen or sysconfig.get_config_var("LDSHARED") or "")
    compiler = shlex.split(sysconfig.get_config_var("CC") or "")
    if not chosen and words[: len(compiler)] == compiler:
        words[: len(compiler)] = shlex.split(os.environ.get("CC", "")) or compiler
    kept = [word for word in words if not word.startswith(("-L", "-Wl,-rpath"))]
    if kept:
        os.environ["LDSHARED"] = shlex.join(kept)


ffibuilder = FFI()
ffibuilder.cdef(DECLARATIONS)
ffibuilder.set_source(
    "quote_generator.native._tdx",
    '#include "tdx.h"',
    sources=[f"quote_generator/native/{name}" for name in SOURCES],
    depends=[f"quote_generator/native/{name}" for name in HEADERS],
    include_dirs=["quote_generator/native"],
    extra_compile_args=COMPILER_OPTIONS,
    extra_link_args=LINKER_OPTIONS,
)

if __name__ in ("__cffi__", "__main__"):  # cffi's setuptools extension runs it by the first name
    forget_library_folders()
if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
