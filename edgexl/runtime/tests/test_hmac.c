/* test_hmac.c: RFC 4231's cases 1 to 4, 6 and 7 (5 is of a mac that was cut): keys shorter and longer than a block. */
#include "../src/hmac.h"
#include "testing.h"

static void check(const void *key, size_t key_bytes, const char *message, const char *expected) {
    uint8_t mac[32];
    char hex[65];

    exl__hmac_sha256(key, key_bytes, message, strlen(message), mac);
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", mac[i]);
    CHECK(strcmp(hex, expected) == 0);
}

int main(void) {
    uint8_t key[131];
    char many[51] = "";

    memset(key, 0x0b, 20);
    check(key, 20, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    check("Jefe", 4, "what do ya want for nothing?",
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    memset(many, 0xdd, 50);
    check(key, 20, many, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    for (int i = 0; i < 25; i++)
        key[i] = (uint8_t)(i + 1);
    memset(many, 0xcd, 50);
    check(key, 25, many, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
    memset(key, 0xaa, sizeof key);
    check(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First",
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    check(key, 131,
          "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be "
          "hashed before being used by the HMAC algorithm.",
          "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
    /* no key and no message, as Python's hmac has it */
    check(NULL, 0, "", "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    puts("hmac: all passed");
    return 0;
}
