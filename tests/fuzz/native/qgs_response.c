/* The QGS's answer, without its length prefix: what lies in it is where it says. */
#include "device.h"
#include "target.h"

#define HEADER_SIZE 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *quote = NULL;
    size_t quote_size = 0;
    uint32_t status = 0;
    const char *wrong = qgs_decode_response(data, size, &quote, &quote_size, &status);

    if (wrong) {
        REQUIRE(status == 0 || (size >= QGS_HEADER_SIZE && status == le32_at(data + 12)));
        return 0;
    }
    accepted++;
    REQUIRE(size >= HEADER_SIZE && data[0] == 1 && data[1] == 0);
    REQUIRE(le32_at(data + 4) == 1 && le32_at(data + 8) == size);
    REQUIRE(status == 0 && le32_at(data + 12) == 0);
    REQUIRE(quote_size == le32_at(data + 20));
    REQUIRE(quote == data + HEADER_SIZE + le32_at(data + 16) && quote + quote_size == data + size);
    sum_of(quote, quote_size);
    return 0;
}
