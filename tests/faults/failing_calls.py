"""System calls that fail on demand: a small library before libc, for the files of one database.

The library counts each call that writes, syncs, shortens or deletes the database, its journal or
their folder. The n-th fails, with the error that was asked for; before and behind it all succeed.
"""

import ctypes
import shutil
import subprocess
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/types.h>

static char watched[4096];
static atomic_long counted, failing = -1;
static int failure;

long ecg_counted(void) { return atomic_load(&counted); }

void ecg_arm(const char *path, long nth, int error)
{
    strncpy(watched, path, sizeof watched - 1);
    failure = error;
    atomic_store(&counted, 0);
    atomic_store(&failing, nth);
}

static int is_watched(const char *path)
{
    size_t length = strlen(watched);
    const char *slash = strrchr(watched, '/');
    if (!length) return 0;
    if (!strncmp(path, watched, length)) return 1;
    return (size_t)(slash - watched) == strlen(path) && !strncmp(path, watched, slash - watched);
}

static int fails(const char *path)
{
    if (!is_watched(path)) return 0;
    if (atomic_fetch_add(&counted, 1) + 1 != atomic_load(&failing)) return 0;
    errno = failure;
    return 1;
}

static int fails_on(int file)
{
    char link[64], path[4096];
    ssize_t length;
    if (!watched[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(path);
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

ssize_t write(int file, const void *from, size_t length)
{ REAL(write); return fails_on(file) ? -1 : real(file, from, length); }

ssize_t pwrite(int file, const void *from, size_t length, off_t place)
{ REAL(pwrite); return fails_on(file) ? -1 : real(file, from, length, place); }

ssize_t pwrite64(int file, const void *from, size_t length, off64_t place)
{ REAL(pwrite64); return fails_on(file) ? -1 : real(file, from, length, place); }

int fsync(int file) { REAL(fsync); return fails_on(file) ? -1 : real(file); }

int fdatasync(int file) { REAL(fdatasync); return fails_on(file) ? -1 : real(file); }

int ftruncate(int file, off_t length)
{ REAL(ftruncate); return fails_on(file) ? -1 : real(file, length); }

int ftruncate64(int file, off64_t length)
{ REAL(ftruncate64); return fails_on(file) ? -1 : real(file, length); }

int unlink(const char *path) { REAL(unlink); return fails(path) ? -1 : real(path); }
"""


def compiled(folder: Path) -> Path | None:
    """The library for `LD_PRELOAD`; None where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return None
    source, library = folder / "failing.c", folder / "failing.so"
    source.write_text(_SOURCE, encoding="ascii")
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


def arm(database: str, nth: int, error: int) -> None:
    """In a process with the library: let the n-th call on this database fail; 0 only counts."""
    ctypes.CDLL(None).ecg_arm(database.encode(), ctypes.c_long(nth), error)


def n_calls() -> int:
    """How many calls were counted since then."""
    return int(ctypes.CDLL(None).ecg_counted())
