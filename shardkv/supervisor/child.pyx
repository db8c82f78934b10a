"""What fork.py does in C: the first steps of a child, which in Python would write to pages that all processes share,
and giving back the pages of code that only imports ran."""
from libc.errno cimport errno
from libc.stdio cimport FILE, fclose, fgets, fopen, sscanf
from libc.stdlib cimport strtol
from libc.string cimport strcmp
from posix.unistd cimport _exit, close, dup2, getppid, setpgid

import os

cdef extern from "<dirent.h>" nogil:
    ctypedef struct DIR:
        pass
    struct dirent:
        char *d_name
    DIR *opendir(const char *name)
    dirent *readdir(DIR *folder)
    int closedir(DIR *folder)
    int dirfd(DIR *folder)

cdef extern from "<fcntl.h>" nogil:
    int O_RDONLY
    int open(const char *path, int flags)

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    ctypedef void (*handler)(int)
    int SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM, SIG_BLOCK, SIG_SETMASK
    handler SIG_DFL, SIG_IGN
    handler signal(int number, handler action)
    int sigfillset(sigset_t *signals)
    int sigprocmask(int how, const sigset_t *signals, sigset_t *before)

cdef extern from "<malloc.h>" nogil:
    int malloc_trim(size_t keep)

cdef extern from "<sys/mman.h>" nogil:
    int MADV_DONTNEED
    int madvise(void *start, size_t length, int advice)

cdef extern from "<sys/prctl.h>" nogil:
    int PR_SET_PDEATHSIG
    int prctl(int option, unsigned long argument)

cdef enum:
    LINE_BYTES = 4352         # of /proc/self/maps: a path and some numbers

cdef sigset_t before


def give_back_code() -> None:
    """Unmaps code until it runs again, and trims the heap. It is for after the imports.

    Most of what ran then never will again. Code is never written to, so what comes back from the page cache is what
    was there.
    """
    cdef FILE *maps = fopen("/proc/self/maps", "re")
    cdef char line[LINE_BYTES]
    cdef char rights[5]
    cdef unsigned long start, end, inode
    malloc_trim(0)
    while maps != NULL and fgets(line, LINE_BYTES, maps) != NULL:
        if sscanf(line, "%lx-%lx %4s %*s %*s %lu", &start, &end, rights, &inode) == 4:
            if inode and strcmp(rights, "r-xp") == 0:
                madvise(<void *>start, end - start, MADV_DONTNEED)
    if maps != NULL:
        fclose(maps)


def block_signals() -> None:
    """No signal is delivered until `restore_signals`."""
    cdef sigset_t all_signals
    sigfillset(&all_signals)
    sigprocmask(SIG_BLOCK, &all_signals, &before)


def restore_signals() -> None:
    """Delivers what came since `block_signals`."""
    sigprocmask(SIG_SETMASK, &before, NULL)


def part_from(int supervisor, list keep) -> None:
    """Gives up what only the supervisor may have, all descriptors but `keep` among it, and dies with it from now on.

    Raises OSError.
    """
    setpgid(0, 0)
    signal(SIGCHLD, SIG_DFL)
    signal(SIGHUP, SIG_IGN)
    signal(SIGINT, SIG_IGN)
    signal(SIGTERM, SIG_IGN)
    if prctl(PR_SET_PDEATHSIG, <unsigned long>SIGKILL) < 0:
        raise OSError(errno, os.strerror(errno))
    if getppid() != supervisor:
        _exit(0)  # it died before it could have told us
    close_others(keep)
    empty_input()


cdef int close_others(list keep) except -1:
    cdef DIR *folder = opendir("/proc/self/fd")
    cdef dirent *entry
    cdef long fd
    if folder == NULL:
        raise OSError(errno, os.strerror(errno), "/proc/self/fd")
    keep.append(dirfd(folder))
    while True:
        entry = readdir(folder)
        if entry == NULL:
            break
        fd = strtol(entry.d_name, NULL, 10)  # `.` and `..` are 0, which is kept
        if fd > 2 and fd not in keep:
            close(<int>fd)
    closedir(folder)
    return 0


cdef int empty_input() except -1:
    cdef int null = open("/dev/null", O_RDONLY)
    if null < 0:
        raise OSError(errno, os.strerror(errno), "/dev/null")
    dup2(null, 0)
    close(null)
    return 0
