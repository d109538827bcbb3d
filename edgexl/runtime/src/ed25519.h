/* ed25519.h: Ed25519 signatures (RFC 8032), to be checked only. */
#ifndef EXL_ED25519_H
#define EXL_ED25519_H

#include <stddef.h>
#include <stdint.h>

/* Whether it is the signature, by the owner of the public key, of a message that is given in two parts. */
int exl__ed25519_check(const uint8_t signature[64], const uint8_t public_key[32], const void *first, size_t first_bytes,
                       const void *rest, size_t rest_bytes);

#endif
