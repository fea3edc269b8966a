/* Stands in for the two kernel devices that hand out DMA buffers, where a virtual machine has neither: buffers are
 * anonymous files instead. Preloaded under libcamera's own virtual camera when the contract is tested; everything above
 * (libcamera, its Python bindings, picamera2) is real. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <linux/dma-buf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int ours(const char *path)
{
    return !strncmp(path, "/dev/dma_heap/", 14) || !strcmp(path, "/dev/udmabuf");
}

static int open_with(const char *name, int at, const char *path, int flags, mode_t mode)
{
    if (ours(path))
        return memfd_create("device", flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
    int (*real)(int, const char *, int, ...) = (int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, name);
    return real(at, path, flags, mode);
}

#define OPENER(name, real)                              \
    int name(const char *path, int flags, ...)          \
    {                                                   \
        va_list rest;                                   \
        va_start(rest, flags);                          \
        mode_t mode = va_arg(rest, mode_t);             \
        va_end(rest);                                   \
        return open_with(real, AT_FDCWD, path, flags, mode); \
    }
OPENER(open, "openat")
OPENER(open64, "openat64")

int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *given = va_arg(rest, void *);
    va_end(rest);
    if (request == DMA_HEAP_IOCTL_ALLOC) {
        struct dma_heap_allocation_data *wanted = given;
        wanted->fd = memfd_create("buffer", MFD_CLOEXEC);
        return ftruncate(wanted->fd, wanted->len);
    }
    if (request == UDMABUF_CREATE)
        return fcntl((int)((struct udmabuf_create *)given)->memfd, F_DUPFD_CLOEXEC, 0);
    if (request == DMA_BUF_IOCTL_SYNC || request == DMA_BUF_SET_NAME_A || request == DMA_BUF_SET_NAME_B)
        return 0;
    int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, given);
}
