/* A disk that fails when it is told to, and whose every change is written down.
 *
 * Loaded in front of the C library (LD_PRELOAD). It concerns itself with files below the directory FAULTS_DIR.
 *
 * FAULTS_CONTROL is a file of eight 64-bit numbers, shared with the test:
 *   0  which operations count: 1 those that change something, 2 those that read, 4 all others that open
 *   1  the error number to fail with
 *   2  the first operation that fails, counted from 1
 *   3  the first that does not fail any more
 *   4  how many operations there were (written here)
 *   5  how many of them failed (written here)
 *
 * FAULTS_TRACE is a file to which all changes are appended, each behind a header of four 64-bit numbers: what, on which
 * open file or how, where, and how many bytes follow. What the program says on its standard output is among them. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { CHANGES = 1, READS = 2, OPENS = 4 };
enum { SAID, OPEN, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR };
enum { CREATED = 1, EMPTIED = 2 };
enum { MOST_FDS = 4096 };

static char directory[PATH_MAX];
static size_t directory_length;
static volatile uint64_t *control;
static int trace = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* The number of the open file, or 0 if it is none of ours; negative if its changes are not written down. */
static long files[MOST_FDS];
static long last_file;

#define REAL(type, name, ...)                                              \
    static type (*real)(__VA_ARGS__);                                      \
    if (!real)                                                             \
        real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int real_open(const char *path, int flags, mode_t mode) {
    REAL(int, "open64", const char *, int, ...);
    return real(path, flags, mode);
}

static ssize_t real_write(int fd, const void *bytes, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    return real(fd, bytes, length);
}

__attribute__((constructor)) static void begin(void) {
    const char *dir = getenv("FAULTS_DIR"), *control_path = getenv("FAULTS_CONTROL"), *trace_path = getenv("FAULTS_TRACE");
    if (!dir || !realpath(dir, directory))
        return;
    directory_length = strlen(directory);
    if (control_path) {
        int fd = real_open(control_path, O_RDWR | O_CLOEXEC, 0);
        void *map = fd < 0 ? MAP_FAILED : mmap(NULL, 64, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        control = map == MAP_FAILED ? NULL : map;
    }
    if (trace_path)
        trace = real_open(trace_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static int concerns(const char *path) {
    return directory_length && strncmp(path, directory, directory_length) == 0 &&
           (path[directory_length] == '/' || path[directory_length] == 0);
}

static long file_of(int fd) { return fd >= 0 && fd < MOST_FDS ? files[fd] : 0; }

/* Whether this operation is one that fails; then errno says how. */
static int fails(uint64_t kind) {
    if (!control || !(control[0] & kind))
        return 0;
    uint64_t number = __atomic_add_fetch(&control[4], 1, __ATOMIC_SEQ_CST);
    if (!control[1] || number < control[2] || number >= control[3])
        return 0;
    __atomic_add_fetch(&control[5], 1, __ATOMIC_SEQ_CST);
    errno = (int)control[1];
    return 1;
}

static void put(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        ssize_t done = real_write(trace, at, length);
        if (done <= 0)
            abort();
        at += done;
        length -= (size_t)done;
    }
}

/* The lock is held from before the change until here, so the order written down is the order of the changes. */
static void note(uint64_t what, uint64_t which, uint64_t where, const void *bytes, size_t length) {
    if (trace < 0)
        return;
    int error = errno;
    uint64_t header[4] = {what, which, where, length};
    put(header, sizeof header);
    put(bytes, length);
    errno = error;
}

static int opened(const char *path, int flags, mode_t mode) {
    if (!concerns(path))
        return real_open(path, flags, mode);
    int writes = (flags & (O_CREAT | O_TRUNC)) != 0;
    if (fails(writes ? CHANGES : OPENS))
        return -1;
    pthread_mutex_lock(&lock);
    struct stat before;
    int existed = stat(path, &before) == 0;
    int fd = real_open(path, flags, mode);
    if (fd >= 0 && fd < MOST_FDS) {
        size_t length = strlen(path);
        /* Shared memory is nothing that lasts. */
        int shared = length > 4 && strcmp(path + length - 4, "-shm") == 0;
        last_file++;
        files[fd] = shared ? -last_file : last_file;
        if (!shared) {
            uint64_t how = (existed ? 0 : CREATED) | (existed && (flags & O_TRUNC) ? EMPTIED : 0);
            note(OPEN, (uint64_t)last_file, how, path, length);
        }
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN_LIKE(name)                                                    \
    int name(const char *path, int flags, ...) {                           \
        mode_t mode = 0;                                                   \
        if (flags & (O_CREAT | __O_TMPFILE)) {                             \
            va_list rest;                                                  \
            va_start(rest, flags);                                         \
            mode = va_arg(rest, mode_t);                                   \
            va_end(rest);                                                  \
        }                                                                  \
        return opened(path, flags, mode);                                  \
    }
OPEN_LIKE(open)
OPEN_LIKE(open64)

int close(int fd) {
    REAL(int, "close", int);
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < MOST_FDS)
        files[fd] = 0;
    int done = real(fd);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    long file = file_of(fd);
    if (file != 0 && fails(CHANGES))
        return -1;
    if ((file <= 0 && fd != 1) || trace < 0)
        return real_write(fd, bytes, length);
    pthread_mutex_lock(&lock);
    off_t at = file > 0 ? lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR) : 0;
    /* What is said is written down first: then whatever the reader does about it comes behind it. */
    if (fd == 1)
        note(SAID, 0, 0, bytes, length);
    ssize_t done = real_write(fd, bytes, length);
    if (file > 0 && done > 0)
        note(WRITE, (uint64_t)file, (uint64_t)at, bytes, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

#define PWRITE_LIKE(name)                                                  \
    ssize_t name(int fd, const void *bytes, size_t length, off_t at) {     \
        REAL(ssize_t, #name, int, const void *, size_t, off_t);            \
        long file = file_of(fd);                                           \
        if (file == 0)                                                     \
            return real(fd, bytes, length, at);                            \
        if (fails(CHANGES))                                                \
            return -1;                                                     \
        pthread_mutex_lock(&lock);                                         \
        ssize_t done = real(fd, bytes, length, at);                        \
        if (file > 0 && done > 0)                                          \
            note(WRITE, (uint64_t)file, (uint64_t)at, bytes, (size_t)done); \
        pthread_mutex_unlock(&lock);                                       \
        return done;                                                       \
    }
PWRITE_LIKE(pwrite)
PWRITE_LIKE(pwrite64)

#define PREAD_LIKE(name)                                                   \
    ssize_t name(int fd, void *bytes, size_t length, off_t at) {           \
        REAL(ssize_t, #name, int, void *, size_t, off_t);                  \
        return file_of(fd) != 0 && fails(READS) ? -1 : real(fd, bytes, length, at); \
    }
PREAD_LIKE(pread)
PREAD_LIKE(pread64)

ssize_t read(int fd, void *bytes, size_t length) {
    REAL(ssize_t, "read", int, void *, size_t);
    return file_of(fd) != 0 && fails(READS) ? -1 : real(fd, bytes, length);
}

#define TRUNCATE_LIKE(name)                                                \
    int name(int fd, off_t length) {                                       \
        REAL(int, #name, int, off_t);                                      \
        long file = file_of(fd);                                           \
        if (file == 0)                                                     \
            return real(fd, length);                                       \
        if (fails(CHANGES))                                                \
            return -1;                                                     \
        pthread_mutex_lock(&lock);                                         \
        int done = real(fd, length);                                       \
        if (file > 0 && done == 0)                                         \
            note(TRUNCATE, (uint64_t)file, (uint64_t)length, "", 0);       \
        pthread_mutex_unlock(&lock);                                       \
        return done;                                                       \
    }
TRUNCATE_LIKE(ftruncate)
TRUNCATE_LIKE(ftruncate64)

#define SYNC_LIKE(name)                                                    \
    int name(int fd) {                                                     \
        REAL(int, #name, int);                                             \
        long file = file_of(fd);                                           \
        if (file == 0)                                                     \
            return real(fd);                                               \
        if (fails(CHANGES))                                                \
            return -1;                                                     \
        pthread_mutex_lock(&lock);                                         \
        int done = real(fd);                                               \
        if (file > 0 && done == 0)                                         \
            note(SYNC, (uint64_t)file, 0, "", 0);                          \
        pthread_mutex_unlock(&lock);                                       \
        return done;                                                       \
    }
SYNC_LIKE(fsync)
SYNC_LIKE(fdatasync)

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    if (!concerns(to))
        return real(from, to);
    if (fails(CHANGES))
        return -1;
    pthread_mutex_lock(&lock);
    int done = real(from, to);
    if (done == 0) {
        char both[2 * PATH_MAX];
        size_t first = strlen(from) + 1, second = strlen(to);
        if (first + second > sizeof both)
            abort();
        memcpy(both, from, first);
        memcpy(both + first, to, second);
        note(RENAME, 0, 0, both, first + second);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    if (!concerns(path))
        return real(path);
    if (fails(CHANGES))
        return -1;
    pthread_mutex_lock(&lock);
    int done = real(path);
    if (done == 0)
        note(UNLINK, 0, 0, path, strlen(path));
    pthread_mutex_unlock(&lock);
    return done;
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    if (!concerns(path))
        return real(path, mode);
    if (fails(CHANGES))
        return -1;
    pthread_mutex_lock(&lock);
    int done = real(path, mode);
    if (done == 0)
        note(MKDIR, 0, 0, path, strlen(path));
    pthread_mutex_unlock(&lock);
    return done;
}
