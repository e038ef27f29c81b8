/* The check of a quote's outer form: nothing is taken that is not whole, and over our data. */
#include <string.h>

#include "target.h"
#include "tdx.h"

#define V4_REPORT_DATA 568
#define V5_REPORT_DATA 574

/* A quote is asked about with the report data at its own place, or it would hardly ever pass. */
static void own_report_data(const uint8_t *data, size_t size, uint8_t wanted[TDX_REPORT_DATA_SIZE])
{
    size_t at = size && data[0] == 5 ? V5_REPORT_DATA : V4_REPORT_DATA;

    memset(wanted, 0, TDX_REPORT_DATA_SIZE);
    if (size >= at + TDX_REPORT_DATA_SIZE)
        memcpy(wanted, data + at, TDX_REPORT_DATA_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t wanted[TDX_REPORT_DATA_SIZE];
    size_t exact = 0, again = 0;

    own_report_data(data, size, wanted);
    if (tdx_check_quote(data, size, wanted, &exact)) {
        const char *kind = tdx_unsupported(data, size);

        REQUIRE(!kind || *kind);
        return 0;
    }
    accepted++;
    REQUIRE(!tdx_unsupported(data, size));
    REQUIRE(exact <= size);
    REQUIRE(sum_of(data + exact, size - exact) == 0);
    REQUIRE(!tdx_check_quote(data, exact, wanted, &again) && again == exact);
    REQUIRE(tdx_check_quote(data, exact - 1, wanted, &again));
    wanted[size % TDX_REPORT_DATA_SIZE] ^= (uint8_t)(1 << size % 8);
    REQUIRE(tdx_check_quote(data, size, wanted, &again));
    return 0;
}
