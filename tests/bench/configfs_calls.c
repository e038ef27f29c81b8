/* What a quote by configfs-tsm costs in system calls alone: the baseline of tools/bench.py.
 *
 * Nothing here is checked but that the calls succeed; each function returns the nanoseconds that
 * it took, or -1.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REPORT_DATA_SIZE 64
#define QUOTE_SIZE 65536
#define PATH_SIZE 256

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int write_attribute(int directory, const char *path, const uint8_t *data)
{
    int fd = openat(directory, path, O_WRONLY | O_CLOEXEC);
    ssize_t n = write(fd, data, REPORT_DATA_SIZE);

    return close(fd) == 0 && n == REPORT_DATA_SIZE;
}

static ssize_t read_attribute(int directory, const char *path, void *data, size_t capacity)
{
    int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
    ssize_t n, size = 0;

    while ((n = read(fd, (char *)data + size, capacity - (size_t)size)) > 0)
        size += n;
    return close(fd) == 0 && n == 0 ? size : -1;
}

/* fewest_calls makes an entry, asks it for a quote, reads the generation and removes it. */
int64_t fewest_calls(const char *report, const uint8_t report_data[REPORT_DATA_SIZE])
{
    static uint8_t quote[QUOTE_SIZE];
    char entry[PATH_SIZE], inblob[PATH_SIZE + 16], outblob[PATH_SIZE + 16];
    char generation[PATH_SIZE + 16], text[32];
    int64_t started = now_ns();
    int good;

    snprintf(entry, sizeof entry, "%s/bench", report);
    snprintf(inblob, sizeof inblob, "%s/inblob", entry);
    snprintf(outblob, sizeof outblob, "%s/outblob", entry);
    snprintf(generation, sizeof generation, "%s/generation", entry);
    if (mkdir(entry, 0700) != 0)
        return -1;
    good = write_attribute(AT_FDCWD, inblob, report_data) &&
           read_attribute(AT_FDCWD, outblob, quote, sizeof quote) > 0 &&
           read_attribute(AT_FDCWD, generation, text, sizeof text) > 0;
    return rmdir(entry) == 0 && good ? now_ns() - started : -1;
}

/* same_calls makes those calls that generate_quote makes: below a descriptor of the directory, and
 * the provider is read too, and the generation before, between and after. */
int64_t same_calls(const char *report, const uint8_t report_data[REPORT_DATA_SIZE])
{
    static uint8_t quote[QUOTE_SIZE];
    char text[64];
    int64_t started = now_ns();
    int root = open(report, O_RDONLY | O_DIRECTORY | O_CLOEXEC), good;

    if (mkdirat(root, "bench", 0700) != 0)
        return -1;
    good = read_attribute(root, "bench/provider", text, sizeof text) > 0 &&
           read_attribute(root, "bench/generation", text, sizeof text) > 0 &&
           write_attribute(root, "bench/inblob", report_data) &&
           read_attribute(root, "bench/generation", text, sizeof text) > 0 &&
           read_attribute(root, "bench/outblob", quote, sizeof quote) > 0 &&
           read_attribute(root, "bench/generation", text, sizeof text) > 0;
    good = unlinkat(root, "bench", AT_REMOVEDIR) == 0 && good;
    return close(root) == 0 && good ? now_ns() - started : -1;
}

/* polling_calls works as libtdx_attest does: one entry for all requests, made by the caller, and
 * after the write a look at the generation until it has changed. */
int64_t polling_calls(const char *entry, const uint8_t report_data[REPORT_DATA_SIZE])
{
    static uint8_t quote[QUOTE_SIZE];
    char inblob[PATH_SIZE], outblob[PATH_SIZE], generation[PATH_SIZE];
    char before[32] = {0}, after[32] = {0};
    int64_t started = now_ns();

    snprintf(inblob, sizeof inblob, "%s/inblob", entry);
    snprintf(outblob, sizeof outblob, "%s/outblob", entry);
    snprintf(generation, sizeof generation, "%s/generation", entry);
    if (read_attribute(AT_FDCWD, generation, before, sizeof before - 1) <= 0 ||
        !write_attribute(AT_FDCWD, inblob, report_data))
        return -1;
    do {
        memset(after, 0, sizeof after);
        if (read_attribute(AT_FDCWD, generation, after, sizeof after - 1) <= 0)
            return -1;
    } while (strcmp(before, after) == 0);
    if (read_attribute(AT_FDCWD, outblob, quote, sizeof quote) <= 0)
        return -1;
    return now_ns() - started;
}
