/* Runs the C core under the sanitizers, where Python's own memory is out of the way.
 *
 *     driver quotes OPERATION PATH SOCKET|vsock:CID:PORT|- THREADS ROUNDS TIMEOUT_MS
 *     driver forking ...as quotes: while another thread forks all the time, and nobody leaves
 *     driver decode SEED ROUNDS
 *
 * Exit code 0: every answer was right, or a failure that says why. Prints how many of each, the
 * failures by code. The sanitizers add their own.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "device.h"

static tdx_request pattern;
static int rounds;
static bool may_leave = true;
static atomic_int wrong, good, left, failed[TDX_NOT_SUPPORTED + 1];

static uint32_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*state >> 33);
}

static void check_answer(const tdx_answer *answer, const tdx_request *request)
{
    size_t size;
    bool right;

    if (answer->code != TDX_OK) {
        atomic_fetch_add(answer->reason ? &failed[answer->code] : &wrong, 1);
        return;
    }
    switch (request->operation) {
    case TDX_EXTEND_FILE:
    case TDX_EXTEND_IOCTL:
        right = answer->size == 0;
        break;
    case TDX_READ_FILE:
        right = answer->size == TDX_DIGEST_SIZE;
        break;
    case TDX_REPORT:
        right = answer->size == TDX_REPORT_SIZE &&
                memcmp(answer->data + 128, request->report_data, TDX_REPORT_DATA_SIZE) == 0;
        break;
    default:
        right = !tdx_check_quote(answer->data, answer->size, request->report_data, &size) &&
                size == answer->size && strcmp(answer->provider, "tdx_guest") == 0;
    }
    atomic_fetch_add(right ? &good : &wrong, 1);
}

/* ask leaves one job in eight before it can be done: the worker must clean up alone. */
static void *ask(void *argument)
{
    uint64_t state = (uint64_t)(uintptr_t)argument * 2654435761u + 1;

    for (int i = 0; i < rounds; i++) {
        tdx_request request = pattern;
        bool leave = next(&state) % 8 == 0 && may_leave;
        tdx_job *job;
        int error;

        for (int j = 0; j < TDX_REPORT_DATA_SIZE; j++)
            request.report_data[j] = (uint8_t)next(&state);
        memcpy(request.digest, request.report_data, TDX_DIGEST_SIZE);
        request.sweep = next(&state) % 4 == 0;
        job = tdx_start(&request, &error);
        if (!job) {
            atomic_fetch_add(error == EBUSY || error == ENAMETOOLONG ? &left : &wrong, 1);
            tdx_wait_for_room(10);
            continue;
        }
        if (leave) {
            tdx_wait(job, (int)(next(&state) % 3));
            atomic_fetch_add(&left, 1);
        } else {
            while (!tdx_wait(job, 50))
                ;
            check_answer(tdx_answer_of(job), &request);
        }
        tdx_release(job);
    }
    return NULL;
}

static int count_threads(void)
{
    DIR *directory = opendir("/proc/self/task");
    int n = 0;

    while (readdir(directory))
        n++;
    closedir(directory);
    return n - 2;
}

static void *do_nothing(void *argument)
{
    return argument;
}

static int quotes(char **argv)
{
    pthread_t threads[64];
    long n = atoi(argv[3]);
    int at_first;

    /* The thread sanitizer starts a thread of its own with the first of ours. */
    pthread_create(&threads[0], NULL, do_nothing, NULL);
    pthread_join(threads[0], NULL);
    at_first = count_threads();
    pattern.operation = atoi(argv[0]);
    pattern.path = argv[1];
    pattern.index = 2;
    if (sscanf(argv[2], "vsock:%u:%u", &pattern.qgs_cid, &pattern.qgs_port) != 2)
        pattern.qgs_socket = argv[2];
    rounds = atoi(argv[4]);
    pattern.timeout_ms = atoi(argv[5]);
    for (long i = 0; i < n; i++)
        pthread_create(&threads[i], NULL, ask, (void *)(i + 1));
    for (long i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 6000 && count_threads() > at_first; i++)
        usleep(10000);
    printf("good %d left %d wrong %d failed", good, left, wrong);
    for (int code = TDX_NOT_AVAILABLE; code <= TDX_NOT_SUPPORTED; code++)
        printf(" %d", failed[code]);
    printf("\n");
    return wrong || count_threads() > at_first;
}

/* --- decoders, on heap memory of the exact size, so that one byte too far is seen --- */

static void decode_once(uint64_t *state, const uint8_t *whole, size_t size)
{
    uint8_t report_data[TDX_REPORT_DATA_SIZE] = {0}, *copy;
    const uint8_t *quote;
    size_t quote_size, exact;
    uint32_t status;

    if (next(state) % 4 == 0)
        size = next(state) % (uint32_t)(size + 1);
    copy = malloc(size ? size : 1);
    memcpy(copy, whole, size);
    for (uint32_t i = next(state) % 4; size && i; i--)
        copy[next(state) % (next(state) % 2 && size > 64 ? 64 : size)] = (uint8_t)next(state);
    if (!tdx_check_quote(copy, size, report_data, &exact) &&
        (exact > size || tdx_unsupported(copy, size)))
        wrong++;
    tdx_unsupported(copy, size);
    if (!qgs_decode_response(copy, size, &quote, &quote_size, &status) &&
        (quote < copy || quote + quote_size != copy + size))
        wrong++;
    free(copy);
}

static void put32(uint8_t *p, uint32_t value)
{
    memcpy(p, &value, 4); /* little-endian, as the machine is */
}

static int decode(char **argv)
{
    uint64_t state = strtoull(argv[0], NULL, 10);
    uint8_t quote[1024] = {0}, message[24 + sizeof quote] = {0};
    const uint32_t bodies[] = {0x02480002, 0x02880003, 0x03750004}; /* size and type */

    put32(quote, 4 | 2 << 16);
    put32(quote + 4, 0x81);
    put32(quote + 632, sizeof quote - 636);
    put32(message, 1 | 1 << 16);
    put32(message + 4, 1);
    put32(message + 8, sizeof message);
    put32(message + 20, sizeof quote);
    memcpy(message + 24, quote, sizeof quote);
    for (long i = atol(argv[1]); i; i--) {
        put32(quote, (next(&state) % 2 ? 4 : 5) | 2 << 16);
        put32(quote + 48, bodies[next(&state) % 3]);
        put32(quote + 52, 0);
        if (next(&state) % 2)
            decode_once(&state, quote, sizeof quote);
        else
            decode_once(&state, message, sizeof message);
    }
    return wrong != 0;
}

static void *fork_on(void *argument)
{
    for (;;)
        if (fork() == 0) {
            usleep(2000);
            _exit(0);
        }
    return argument;
}

int main(int argc, char **argv)
{
    if (argc == 8 && strcmp(argv[1], "forking") == 0) {
        pthread_t forker;

        may_leave = false; /* so that every job makes its quote, and once if no fork is in the way */
        signal(SIGCHLD, SIG_IGN);
        pthread_create(&forker, NULL, fork_on, NULL);
        return quotes(argv + 2);
    }
    if (argc == 8 && strcmp(argv[1], "quotes") == 0)
        return quotes(argv + 2);
    if (argc == 4 && strcmp(argv[1], "decode") == 0)
        return decode(argv + 2);
    fprintf(stderr, "see the source for what to say\n");
    return 2;
}
