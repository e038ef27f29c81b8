/* What every target has: a way to say what must hold, and a count of the inputs it took for good. */
#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long accepted;

/* The harness reads this line: a target that accepts nothing tests nothing. */
__attribute__((destructor)) static void print_accepted(void)
{
    fprintf(stderr, "accepted: %lu\n", accepted);
}

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: this does not hold: %s\n", __FILE__, __LINE__, #condition);    \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* sum_of reads every byte, so that the address sanitizer sees where they lie. */
static inline unsigned sum_of(const uint8_t *data, size_t size)
{
    unsigned sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += ((const volatile uint8_t *)data)[i];
    return sum;
}

static inline uint32_t le32_at(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

#endif
