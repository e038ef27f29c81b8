/* A quote generation service on vsock, for the test guest: qgs PORT. */
#include <linux/vm_sockets.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_SIZE 1052
#define QUOTE_SIZE 1000
#define MESSAGE_SIZE (24 + QUOTE_SIZE)

static int read_all(int fd, uint8_t *data, size_t size)
{
    ssize_t n;

    for (size_t got = 0; got < size; got += (size_t)n)
        if ((n = read(fd, data + got, size - got)) <= 0)
            return 0;
    return 1;
}

int main(int argc, char **argv)
{
    struct sockaddr_vm address = {.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY};
    int listener = socket(AF_VSOCK, SOCK_STREAM, 0), fd;

    signal(SIGPIPE, SIG_IGN); /* clients may leave */
    address.svm_port = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64))
        return 1;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        uint8_t request[REQUEST_SIZE], answer[4 + MESSAGE_SIZE] = {0, 0, MESSAGE_SIZE >> 8,
                                                                   MESSAGE_SIZE & 0xff};
        uint32_t words[6] = {1 | 1 << 16, 1, MESSAGE_SIZE, 0, 0, QUOTE_SIZE};
        uint32_t signature_size = QUOTE_SIZE - 636;
        uint8_t *quote = answer + 28;

        if (read_all(fd, request, sizeof request)) {
            memcpy(answer + 4, words, sizeof words);
            quote[0] = 4;
            quote[2] = 2;
            quote[4] = 0x81;
            memcpy(quote + 568, request + 28 + 128, 64);
            memcpy(quote + 632, &signature_size, 4);
            for (size_t sent = 0; sent < sizeof answer; sent += 500) /* in pieces */
                if (write(fd, answer + sent,
                          sizeof answer - sent < 500 ? sizeof answer - sent : 500) < 0)
                    break;
        }
        close(fd);
    }
    return 0;
}
