/* hmac.h: HMAC-SHA-256 (RFC 2104): a hash of a message that only who has the key can make or try out. */
#ifndef EXL_HMAC_H
#define EXL_HMAC_H

#include <stddef.h>
#include <stdint.h>

void exl__hmac_sha256(const void *key, size_t key_bytes, const void *message, size_t message_bytes, uint8_t mac[32]);

#endif
