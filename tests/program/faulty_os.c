/* A library that is loaded before libc (LD_PRELOAD); it logs the calls by which a program changes files, and makes some of them fail.
 *
 * FAULTY_UNDER   folder; only calls on files below it are logged and can fail
 * FAULTY_LOG     log file, outside that folder, with a line for each call: its kind and the paths below the folder
 * FAULTY_AT      the number of the call that fails, counted from 1; if it is not set, no call fails
 * FAULTY_ERRNO   errno of the failure; 0 for a write of half of the bytes, which is not a failure
 * FAULTY_ONWARD  if set, all later calls that can fail with this errno fail too, as on a full disk
 * FAULTY_THREADS number of threads that can be created; unlimited if it is not set
 *
 * Calls that are not interposed here would be missed. The test checks this against the folder itself: each new file must have been
 * opened, written and renamed by calls in the log.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text && *text ? atol(text) : otherwise;
}

/* Returns the part of an absolute path below the folder; NULL if it is elsewhere. */
static const char *below(const char *path) {
    const char *under = getenv("FAULTY_UNDER");
    size_t len = under ? strlen(under) : 0;
    if (!len || strncmp(path, under, len) || (path[len] != '/' && path[len] != 0)) return NULL;
    return path[len] ? path + len + 1 : ".";
}

/* Removes each "." from a path. */
static char *tidy(char *path) {
    for (char *dot; (dot = strstr(path, "/./"));) memmove(dot, dot + 2, strlen(dot + 2) + 1);
    return path;
}

/* Returns the current path of an open file. */
static const char *of_file(int file, char *space) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t len = readlink(link, space, PATH_MAX - 1);
    if (len < 0) return NULL;
    space[len] = 0;
    return below(space);
}

/* Returns the path below the folder for a path that may be relative to a given or the current folder. */
static const char *of_path(int folder, const char *path, char *space) {
    char base[PATH_MAX];
    if (path[0] == '/') {
        snprintf(space, PATH_MAX, "%s", path);
        return below(tidy(space));
    }
    if (folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return NULL;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t len = readlink(link, base, sizeof base - 1);
        if (len < 0) return NULL;
        base[len] = 0;
    }
    if (snprintf(space, PATH_MAX, "%s/%s", base, path) >= PATH_MAX) return NULL;
    return below(tidy(space));
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long calls = 0;

enum verdict { GOOD, FAIL, SHORT };

/* Logs a call and decides its outcome. Only writes can be short. */
static enum verdict note(const char *kind, const char *name, const char *other, size_t bytes) {
    if (!name) return GOOD;
    pthread_mutex_lock(&lock);
    long call = ++calls, at = number("FAULTY_AT", 0), error = number("FAULTY_ERRNO", 0);
    int is_write = !strcmp(kind, "write");
    int hit = at && (call == at || (call > at && getenv("FAULTY_ONWARD")));
    enum verdict verdict = !hit ? GOOD : error ? FAIL : is_write && bytes > 1 ? SHORT : GOOD;
    const char *log = getenv("FAULTY_LOG");
    if (log) {
        char line[3 * PATH_MAX];
        int len = snprintf(line, sizeof line, "%s%s\t%s\t%s\n", verdict == GOOD ? "" : "!", kind, name, other ? other : "");
        int file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (file >= 0) {
            syscall(SYS_write, file, line, len);
            syscall(SYS_close, file);
        }
    }
    pthread_mutex_unlock(&lock);
    if (verdict == FAIL) errno = error;
    return verdict;
}

#define REAL(result, function, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #function)

/* Opening a file to read it, or a folder for its fsync, changes nothing and counts as a read. */
static const char *opening(int flags) {
    return flags & O_CREAT ? "create" : (flags & O_ACCMODE) != O_RDONLY ? "open" : "read";
}

#define OPEN(function) \
    int function(const char *path, int flags, ...) { \
        char space[PATH_MAX]; \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list more; \
            va_start(more, flags); \
            mode = va_arg(more, mode_t); \
            va_end(more); \
        } \
        REAL(int, function, const char *, int, ...); \
        return note(opening(flags), of_path(AT_FDCWD, path, space), NULL, 0) ? -1 : real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(function) \
    int function(int folder, const char *path, int flags, ...) { \
        char space[PATH_MAX]; \
        mode_t mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list more; \
            va_start(more, flags); \
            mode = va_arg(more, mode_t); \
            va_end(more); \
        } \
        REAL(int, function, int, const char *, int, ...); \
        return note(opening(flags), of_path(folder, path, space), NULL, 0) ? -1 : real(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

ssize_t write(int file, const void *bytes, size_t count) {
    char space[PATH_MAX];
    REAL(ssize_t, write, int, const void *, size_t);
    enum verdict verdict = note("write", of_file(file, space), NULL, count);
    return verdict == FAIL ? -1 : real(file, bytes, verdict == SHORT ? count / 2 : count);
}

ssize_t writev(int file, const struct iovec *pieces, int count) {
    char space[PATH_MAX];
    REAL(ssize_t, writev, int, const struct iovec *, int);
    enum verdict verdict = note("write", of_file(file, space), NULL, pieces[0].iov_len);
    if (verdict == FAIL) return -1;
    return verdict == SHORT ? syscall(SYS_write, file, pieces[0].iov_base, pieces[0].iov_len / 2) : real(file, pieces, count);
}

/* Calls on an open file. */
#define ON_FILE(function, kind, declared, ...) \
    int function declared { \
        char space[PATH_MAX]; \
        REAL(int, function, __VA_ARGS__);
#define ON_FILE_END(kind, ...) \
        return note(kind, of_file(file, space), NULL, 0) ? -1 : real(__VA_ARGS__); \
    }
ON_FILE(fsync, "fsync", (int file), int) ON_FILE_END("fsync", file)
ON_FILE(fdatasync, "fsync", (int file), int) ON_FILE_END("fsync", file)
ON_FILE(ftruncate, "truncate", (int file, off_t len), int, off_t) ON_FILE_END("truncate", file, len)
ON_FILE(ftruncate64, "truncate", (int file, off64_t len), int, off64_t) ON_FILE_END("truncate", file, len)
ON_FILE(fchmod, "chmod", (int file, mode_t mode), int, mode_t) ON_FILE_END("chmod", file, mode)

/* Calls on one path. */
#define ON_PATH(function, kind, folder, declared, given, ...) \
    int function declared { \
        char space[PATH_MAX]; \
        REAL(int, function, __VA_ARGS__); \
        return note(kind, of_path(folder, path, space), NULL, 0) ? -1 : real given; \
    }
ON_PATH(unlink, "unlink", AT_FDCWD, (const char *path), (path), const char *)
ON_PATH(unlinkat, "unlink", folder, (int folder, const char *path, int flags), (folder, path, flags), int, const char *, int)
ON_PATH(rmdir, "rmdir", AT_FDCWD, (const char *path), (path), const char *)
ON_PATH(mkdir, "mkdir", AT_FDCWD, (const char *path, mode_t mode), (path, mode), const char *, mode_t)
ON_PATH(mkdirat, "mkdir", folder, (int folder, const char *path, mode_t mode), (folder, path, mode), int, const char *, mode_t)

/* Calls on two paths. */
#define ON_PATHS(function, kind, from_folder, to_folder, declared, given, ...) \
    int function declared { \
        char from_space[PATH_MAX], to_space[PATH_MAX]; \
        const char *from_name = of_path(from_folder, from, from_space), *to_name = of_path(to_folder, to, to_space); \
        REAL(int, function, __VA_ARGS__); \
        return note(kind, from_name, to_name, 0) ? -1 : real given; \
    }
ON_PATHS(rename, "rename", AT_FDCWD, AT_FDCWD, (const char *from, const char *to), (from, to), const char *, const char *)
ON_PATHS(renameat, "rename", a, b, (int a, const char *from, int b, const char *to), (a, from, b, to), int, const char *, int, const char *)
ON_PATHS(renameat2, "rename", a, b, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags), int, const char *, int, const char *, unsigned)
ON_PATHS(link, "link", AT_FDCWD, AT_FDCWD, (const char *from, const char *to), (from, to), const char *, const char *)
ON_PATHS(linkat, "link", a, b, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags), int, const char *, int, const char *, int)

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *), void *given) {
    static long created = 0;
    REAL(int, pthread_create, pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    long most = number("FAULTY_THREADS", -1);
    if (most >= 0 && __atomic_fetch_add(&created, 1, __ATOMIC_RELAXED) >= most) return EAGAIN;
    return real(thread, attributes, work, given);
}
