/* Counts what a process writes below one folder, and kills it, or fails from then on, at the n-th such call.
   Loaded with LD_PRELOAD; armed from Python (chaos_writes.py). Reading, and deleting, never fail. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, SYNC = 4, NAME = 8 };

static char prefix[PATH_MAX];
static size_t length;
static int kinds, failure; /* failure: an errno; 0: SIGKILL */
static atomic_long calls[16], seen, struck;
static long at;

void chaos_arm(const char *folder, int of_kinds, long at_call, int with_errno) {
    strncpy(prefix, folder, sizeof prefix - 1);
    length = strlen(prefix);
    kinds = of_kinds, at = at_call, failure = with_errno;
}
void chaos_disarm(void) { length = 0; }
long chaos_calls(int of_kinds) {
    long sum = 0;
    for (int kind = 1; kind < 16; kind <<= 1)
        if (of_kinds & kind) sum += calls[kind];
    return sum;
}
long chaos_struck(void) { return struck; }

static int below(const char *path) { return path && length && !strncmp(path, prefix, length); }

static int refused(int kind) {
    calls[kind]++;
    if (!(kinds & kind) || !at) return 0;
    if (++seen < at) return 0;
    struck++;
    if (!failure) kill(0, SIGKILL);
    errno = failure;
    return 1;
}
static int refuses_path(int kind, const char *path) { return below(path) && refused(kind); }
static int refuses_file(int kind, int file) {
    if (!length) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return refuses_path(kind, path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define OPENING(name)                                                            \
    int name(const char *path, int flags, ...) {                                 \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
        if ((flags & (O_CREAT | O_TRUNC)) && refuses_path(OPEN, path)) return -1; \
        return REAL(name)(path, flags, mode);                                    \
    }
OPENING(open)
OPENING(open64)
#define OPENING_AT(name)                                                         \
    int name(int folder, const char *path, int flags, ...) {                     \
        va_list more; va_start(more, flags); mode_t mode = va_arg(more, mode_t); va_end(more); \
        if ((flags & (O_CREAT | O_TRUNC)) && refuses_path(OPEN, path)) return -1; \
        return REAL(name)(folder, path, flags, mode);                            \
    }
OPENING_AT(openat)
OPENING_AT(openat64)

#define ON_FILE(type, name, kind, parameters, arguments) \
    type name parameters { return refuses_file(kind, file) ? -1 : REAL(name) arguments; }
ON_FILE(ssize_t, write, WRITE, (int file, const void *data, size_t size), (file, data, size))
ON_FILE(ssize_t, pwrite, WRITE, (int file, const void *data, size_t size, off_t where), (file, data, size, where))
ON_FILE(ssize_t, pwrite64, WRITE, (int file, const void *data, size_t size, off64_t where), (file, data, size, where))
ON_FILE(ssize_t, writev, WRITE, (int file, const struct iovec *data, int number), (file, data, number))
ON_FILE(int, ftruncate, WRITE, (int file, off_t size), (file, size))
ON_FILE(int, ftruncate64, WRITE, (int file, off64_t size), (file, size))
ON_FILE(int, fsync, SYNC, (int file), (file))
ON_FILE(int, fdatasync, SYNC, (int file), (file))

#define ON_PATH(name, path, parameters, arguments) \
    int name parameters { return refuses_path(NAME, path) ? -1 : REAL(name) arguments; }
ON_PATH(rename, to, (const char *from, const char *to), (from, to))
ON_PATH(renameat, to, (int a, const char *from, int b, const char *to), (a, from, b, to))
ON_PATH(renameat2, to, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags))
ON_PATH(mkdir, path, (const char *path, mode_t mode), (path, mode))
ON_PATH(link, to, (const char *from, const char *to), (from, to))
ON_PATH(linkat, to, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
ON_PATH(symlink, to, (const char *from, const char *to), (from, to))
