/* Plays the driver and the host to legacy-ioctl within one process, so that the address sanitizer
 * sees every byte that the host writes, and when.
 *
 *     legacy_host ERRNO CALLS
 *
 * The first CALLS requests for a quote fail with ERRNO while the host goes on with them; later ones
 * are answered. A first job asks. When it is over the host ends what it was at, and a second job
 * asks. Says after each: its code, how often it asked, and how many buffers are still allocated.
 *
 * Link with -Wl,--wrap=ioctl.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tdx.h"

#define GET_REPORT0 1 /* the number's last byte */
#define REPORT_DATA_AT 128
#define DONE 0ull
#define IN_FLIGHT 0xffffffffffffffffull
#define MOST 64

struct quote_buffer { /* TDG.VP.VMCALL<GetQuote> */
    uint64_t version, status;
    uint32_t in_size, out_size;
    uint8_t data[];
};

static struct quote_buffer *held[MOST];
static int error_of_calls, calls_to_fail, calls;
static uint8_t report_data[TDX_REPORT_DATA_SIZE] = "asked for";

static int get_report(uint8_t *exchange)
{
    uint8_t *report = exchange + TDX_REPORT_DATA_SIZE;

    memset(report, 0, TDX_REPORT_SIZE);
    report[0] = 0x81;
    memcpy(report + REPORT_DATA_AT, exchange, TDX_REPORT_DATA_SIZE);
    return 0;
}

/* answer is the host's: the shortest quote that the core takes, without signature data. */
static void answer(struct quote_buffer *buffer)
{
    static const uint8_t header[] = {4, 0, 2, 0, 0x81};

    memset(buffer->data, 0, 636);
    memcpy(buffer->data, header, sizeof header);
    memcpy(buffer->data + 568, report_data, sizeof report_data);
    buffer->out_size = 636;
    __atomic_store_n(&buffer->status, DONE, __ATOMIC_RELEASE);
}

static int get_quote(struct quote_buffer *buffer)
{
    int call = calls++;

    if (call >= calls_to_fail) {
        answer(buffer);
        return 0;
    }
    if (call < MOST) {
        held[call] = buffer;
        buffer->status = IN_FLIGHT;
    }
    errno = error_of_calls;
    return -1;
}

int __wrap_ioctl(int fd, unsigned long number, ...)
{
    va_list rest;
    void *argument;

    (void)fd;
    va_start(rest, number);
    argument = va_arg(rest, void *);
    va_end(rest);
    if ((number & 0xff) == GET_REPORT0)
        return get_report(argument);
    return get_quote(*(struct quote_buffer **)argument);
}

static void ask(void)
{
    tdx_request request = {.operation = TDX_QUOTE_LEGACY, .path = "/dev/null", .timeout_ms = 20000};
    int error, allocated = 0, before = calls;
    tdx_job *job;

    memcpy(request.report_data, report_data, sizeof report_data);
    job = tdx_start(&request, &error);
    if (!job)
        abort();
    while (!tdx_wait(job, 50))
        ;
    for (int i = 0; i < MOST; i++)
        allocated += held[i] && !__asan_address_is_poisoned(held[i]);
    printf("code %d calls %d allocated %d\n", tdx_answer_of(job)->code, calls - before, allocated);
    fflush(stdout);
    tdx_release(job);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    error_of_calls = atoi(argv[1]);
    calls_to_fail = atoi(argv[2]);
    ask();
    calls_to_fail = 0;
    for (int i = 0; i < MOST; i++)
        if (held[i])
            answer(held[i]);
    ask();
    /* So that what nobody holds but the core is a leak, unless the core knows of it. */
    memset(held, 0, sizeof held);
    return 0;
}
