/* test_sha256.c: FIPS 180-4's examples, fed in pieces of every size, so that each path through the buffer is taken. */
#include "../src/sha256.h"
#include "testing.h"

static void check(const char *bytes, size_t length, size_t piece, const char *expected) {
    exl__sha256 hash;
    uint8_t digest[32];
    char hex[65];

    exl__sha256_init(&hash);
    for (size_t at = 0; at < length; at += piece)
        exl__sha256_update(&hash, bytes + at, piece < length - at ? piece : length - at);
    exl__sha256_final(&hash, digest);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    CHECK(strcmp(hex, expected) == 0);
}

int main(void) {
    static char many[1000000];
    const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

    memset(many, 'a', sizeof many);
    check("", 0, 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t piece = 1; piece < 70; piece++) {
        check("abc", 3, piece, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        check(two_blocks, 56, piece, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    }
    for (size_t piece = 63; piece < 500000; piece *= 3)
        check(many, sizeof many, piece, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    puts("sha256: all passed");
    return 0;
}
