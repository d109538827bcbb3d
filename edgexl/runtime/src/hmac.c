#include "compiler.h"

#include "hmac.h"

#include <string.h>

#include "sha256.h"

enum { HMAC_BLOCK_BYTES = 64 };

/* The hash of the key, each of its bytes changed by `mask`, and a message behind it. */
static void hmac_hash(const uint8_t key[HMAC_BLOCK_BYTES], uint8_t mask, const void *message, size_t message_bytes,
                      uint8_t digest[32]) {
    uint8_t block[HMAC_BLOCK_BYTES];
    exl__sha256 hash;

    for (int i = 0; i < HMAC_BLOCK_BYTES; i++)
        block[i] = key[i] ^ mask;
    exl__sha256_init(&hash);
    exl__sha256_update(&hash, block, sizeof block);
    exl__sha256_update(&hash, message, message_bytes);
    exl__sha256_final(&hash, digest);
}

void exl__hmac_sha256(const void *key, size_t key_bytes, const void *message, size_t message_bytes, uint8_t mac[32]) {
    uint8_t padded[HMAC_BLOCK_BYTES] = {0}, inner[32];

    if (key_bytes > sizeof padded)
        exl__sha256_of(key, key_bytes, padded);
    else if (key_bytes > 0)
        memcpy(padded, key, key_bytes);
    hmac_hash(padded, 0x36, message, message_bytes, inner);
    hmac_hash(padded, 0x5c, inner, sizeof inner, mac);
}
