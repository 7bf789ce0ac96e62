/* Makes one file operation of a process fail. Loaded with LD_PRELOAD.
 *
 * Operations on files below the folder in the shared state are numbered in the order in which they happen. The one with
 * the armed number fails with the armed error, or kills its process. The others go through.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define KILL (-1)
#define SHORT (-2)
#define ENTRIES 4096

struct entry {
    char operation[16];
    char path[240];
};

struct state {
    long count; /* operations so far */
    long armed; /* number of the one that fails, from 1; 0: none */
    long error; /* errno, KILL or SHORT */
    char folder[256];
    struct entry entries[ENTRIES];
};

static struct state *state;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("FAULTS_STATE");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *memory = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        state = memory == MAP_FAILED ? NULL : memory;
        close(file);
    }
}

/* Returns 0 to go on, SHORT to do a part, or -1 with errno set. */
static int point(const char *operation, const char *path) {
    if (!state || !path || !state->folder[0] || strncmp(path, state->folder, strlen(state->folder)) != 0)
        return 0;
    long number = __sync_add_and_fetch(&state->count, 1);
    if (number <= ENTRIES) {
        snprintf(state->entries[number - 1].operation, sizeof state->entries->operation, "%s", operation);
        snprintf(state->entries[number - 1].path, sizeof state->entries->path, "%s", path);
    }
    if (number != state->armed)
        return 0;
    if (state->error == KILL) {
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    }
    if (state->error == SHORT)
        return SHORT;
    errno = (int)state->error;
    return -1;
}

static int point_at(const char *operation, int folder, const char *path) {
    char name[256], link[64];
    if (path && path[0] != '/') {
        snprintf(link, sizeof link, folder == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", folder);
        ssize_t length = readlink(link, name, sizeof name - 1);
        if (length < 0)
            return 0;
        snprintf(name + length, sizeof name - length, "/%s", path);
        return point(operation, name);
    }
    return point(operation, path);
}

static int point_of(const char *operation, int file) {
    char name[256], link[64];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, name, sizeof name - 1);
    errno = before;
    if (length < 0)
        return 0;
    name[length] = 0;
    return point(operation, name);
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list list; \
        va_start(list, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list); \
        REAL(name); \
        return point_at("open", AT_FDCWD, path) == -1 ? -1 : real(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
    int name(int folder, const char *path, int flags, ...) { \
        va_list list; \
        va_start(list, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list); \
        REAL(name); \
        return point_at("open", folder, path) == -1 ? -1 : real(folder, path, flags, mode); \
    }
OPENAT(openat)
OPENAT(openat64)

/* A short transfer has at least a byte: none would mean the end of the file. */
#define TRANSFER(operation, name, parameters, call) \
    ssize_t name parameters { \
        REAL(name); \
        int fate = point_of(operation, file); \
        if (fate == -1) return -1; \
        if (fate == SHORT && size > 1) size /= 2; \
        return real call; \
    }
TRANSFER("read", read, (int file, void *data, size_t size), (file, data, size))
TRANSFER("read", pread, (int file, void *data, size_t size, off_t at), (file, data, size, at))
TRANSFER("read", pread64, (int file, void *data, size_t size, off64_t at), (file, data, size, at))
TRANSFER("write", write, (int file, const void *data, size_t size), (file, data, size))
TRANSFER("write", pwrite, (int file, const void *data, size_t size, off_t at), (file, data, size, at))
TRANSFER("write", pwrite64, (int file, const void *data, size_t size, off64_t at), (file, data, size, at))

#define ON_FILE(operation, name, parameters, call) \
    int name parameters { \
        REAL(name); \
        return point_of(operation, file) == -1 ? -1 : real call; \
    }
ON_FILE("fsync", fsync, (int file), (file))
ON_FILE("fsync", fdatasync, (int file), (file))
ON_FILE("lock", flock, (int file, int operation), (file, operation))
ON_FILE("truncate", ftruncate, (int file, off_t size), (file, size))
ON_FILE("truncate", ftruncate64, (int file, off64_t size), (file, size))

#define ON_PATH(operation, name, parameters, call) \
    int name parameters { \
        REAL(name); \
        return point_at(operation, AT_FDCWD, path) == -1 ? -1 : real call; \
    }
ON_PATH("rename", rename, (const char *path, const char *target), (path, target))
ON_PATH("unlink", unlink, (const char *path), (path))
ON_PATH("mkdir", mkdir, (const char *path, mode_t mode), (path, mode))

DIR *opendir(const char *path) {
    REAL(opendir);
    return point_at("list", AT_FDCWD, path) == -1 ? NULL : real(path);
}
