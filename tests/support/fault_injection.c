// A library for LD_PRELOAD: calls of the C library fail on command.
//
// PIE_FAULTS names a file of one page that whoever tests writes and this library maps: which kind
// of call fails, from which on, how many, with which errno, and only for paths or sizes that match.
// Nothing is armed at first. Calls of the Rust library wasmtime for memory are let pass: it ends
// the process when one fails.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum Kind { kMalloc = 1, kMmap = 2, kOpen = 4, kWrite = 8, kSync = 16, kThread = 32, kRename = 64 };

/// The page; tests/reliability/fault_injection.py writes it.
struct Control {
  int64_t kinds;        ///< of Kind; 0: nothing fails
  int64_t skip;         ///< matching calls that are let pass first
  int64_t count;        ///< matching calls that fail then
  int64_t number;       ///< their errno
  int64_t least_bytes;  ///< of memory: smaller requests do not match
  int64_t one_in;       ///< of those that would fail only every n-th, scattered, does
  int64_t seen;         ///< matching calls so far
  int64_t failed;       ///< of those, how many failed
  char path[192];       ///< of files: a part of the path
};

static struct Control* control;
static uintptr_t wasmtime_begin, wasmtime_end;

static int find_wasmtime(struct dl_phdr_info* info, size_t size, void* unused) {
  (void)size, (void)unused;
  if (!info->dlpi_name || !strstr(info->dlpi_name, "libwasmtime")) return 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)* part = &info->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
    wasmtime_begin = info->dlpi_addr + part->p_vaddr;
    wasmtime_end = wasmtime_begin + part->p_memsz;
  }
  return 1;
}

__attribute__((constructor)) static void begin(void) {
  const char* name = getenv("PIE_FAULTS");
  if (!name) return;
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  const long page = syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  syscall(SYS_close, fd);
  if (page == -1) return;
  dl_iterate_phdr(find_wasmtime, NULL);
  control = (struct Control*)page;
}

/// Whether this call fails; then errno is set.
static int fails(enum Kind kind, size_t bytes, const char* path) {
  if (!control || !(__atomic_load_n(&control->kinds, __ATOMIC_ACQUIRE) & kind)) return 0;
  if (bytes < (size_t)control->least_bytes) return 0;
  if (path && !strstr(path, control->path)) return 0;
  const int64_t n = __atomic_fetch_add(&control->seen, 1, __ATOMIC_RELAXED);
  if (n < control->skip || n - control->skip >= control->count) return 0;
  if (control->one_in > 1 && (n * 2654435761U >> 8) % control->one_in != 0) return 0;
  __atomic_fetch_add(&control->failed, 1, __ATOMIC_RELAXED);
  errno = (int)control->number;
  return 1;
}

/// The same for a descriptor; only files have a path that matches.
static int fails_at(enum Kind kind, int fd) {
  if (!control || !(__atomic_load_n(&control->kinds, __ATOMIC_ACQUIRE) & kind)) return 0;
  struct stat info;
  char link[64], path[4096];
  if (fstat(fd, &info) != 0 || !(S_ISREG(info.st_mode) || S_ISDIR(info.st_mode))) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = '\0';
  return fails(kind, SIZE_MAX, path);
}

static int is_for_wasmtime(const void* caller) {
  return (uintptr_t)caller >= wasmtime_begin && (uintptr_t)caller < wasmtime_end;
}

#define NO_MEMORY(bytes) \
  (!is_for_wasmtime(__builtin_return_address(0)) && fails(kMalloc, (bytes), NULL))
#define NEXT(name)                                       \
  __extension__({                                        \
    static __typeof__(&name) next;                       \
    if (!next) *(void**)&next = dlsym(RTLD_NEXT, #name); \
    next;                                                \
  })

// ---- memory

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* memory, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) { return NO_MEMORY(size) ? NULL : __libc_malloc(size); }

void* calloc(size_t count, size_t size) {
  return NO_MEMORY(count * size) ? NULL : __libc_calloc(count, size);
}

void* realloc(void* memory, size_t size) {
  return NO_MEMORY(size) ? NULL : __libc_realloc(memory, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  return NO_MEMORY(size) ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void** memory, size_t alignment, size_t size) {
  const int before = errno;
  void* found = NO_MEMORY(size) ? NULL : __libc_memalign(alignment, size);
  errno = before;
  if (found) *memory = found;
  return found ? 0 : ENOMEM;
}

void* mmap(void* at, size_t size, int protection, int flags, int fd, off_t offset) {
  if (fails(kMmap, size, NULL)) return MAP_FAILED;
  return NEXT(mmap)(at, size, protection, flags, fd, offset);
}

void* mmap64(void* at, size_t size, int protection, int flags, int fd, off64_t offset) {
  if (fails(kMmap, size, NULL)) return MAP_FAILED;
  return NEXT(mmap64)(at, size, protection, flags, fd, offset);
}

// ---- files

#define MODE(flags)                        \
  mode_t mode = 0;                         \
  if ((flags) & (O_CREAT | __O_TMPFILE)) { \
    va_list more;                          \
    va_start(more, flags);                 \
    mode = va_arg(more, mode_t);           \
    va_end(more);                          \
  }

int open(const char* path, int flags, ...) {
  MODE(flags)
  return fails(kOpen, SIZE_MAX, path) ? -1 : NEXT(open)(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  MODE(flags)
  return fails(kOpen, SIZE_MAX, path) ? -1 : NEXT(open64)(path, flags, mode);
}

int openat(int folder, const char* path, int flags, ...) {
  MODE(flags)
  return fails(kOpen, SIZE_MAX, path) ? -1 : NEXT(openat)(folder, path, flags, mode);
}

int openat64(int folder, const char* path, int flags, ...) {
  MODE(flags)
  return fails(kOpen, SIZE_MAX, path) ? -1 : NEXT(openat64)(folder, path, flags, mode);
}

FILE* fopen(const char* path, const char* how) {
  return fails(kOpen, SIZE_MAX, path) ? NULL : NEXT(fopen)(path, how);
}

FILE* fopen64(const char* path, const char* how) {
  return fails(kOpen, SIZE_MAX, path) ? NULL : NEXT(fopen64)(path, how);
}

ssize_t write(int fd, const void* data, size_t size) {
  return fails_at(kWrite, fd) ? -1 : NEXT(write)(fd, data, size);
}

ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  return fails_at(kWrite, fd) ? -1 : NEXT(pwrite)(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  return fails_at(kWrite, fd) ? -1 : NEXT(pwrite64)(fd, data, size, at);
}

ssize_t writev(int fd, const struct iovec* parts, int count) {
  return fails_at(kWrite, fd) ? -1 : NEXT(writev)(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t at) {
  return fails_at(kWrite, fd) ? -1 : NEXT(pwritev)(fd, parts, count, at);
}

size_t fwrite(const void* data, size_t size, size_t count, FILE* file) {
  return fails_at(kWrite, fileno(file)) ? 0 : NEXT(fwrite)(data, size, count, file);
}

int ftruncate(int fd, off_t size) { return fails_at(kRename, fd) ? -1 : NEXT(ftruncate)(fd, size); }

int ftruncate64(int fd, off64_t size) {
  return fails_at(kRename, fd) ? -1 : NEXT(ftruncate64)(fd, size);
}

int rename(const char* from, const char* to) {
  return fails(kRename, SIZE_MAX, to) ? -1 : NEXT(rename)(from, to);
}

int mkdir(const char* path, mode_t mode) {
  return fails(kRename, SIZE_MAX, path) ? -1 : NEXT(mkdir)(path, mode);
}

int fsync(int fd) { return fails_at(kSync, fd) ? -1 : NEXT(fsync)(fd); }

int fdatasync(int fd) { return fails_at(kSync, fd) ? -1 : NEXT(fdatasync)(fd); }

// ---- threads

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                   void* argument) {
  const int before = errno;
  if (fails(kThread, SIZE_MAX, NULL)) {
    const int number = errno;
    errno = before;
    return number;
  }
  return NEXT(pthread_create)(thread, attributes, start, argument);
}
