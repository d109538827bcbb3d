/* signature.h: signatures and public keys as minisign writes them (https://jedisct1.github.io/minisign), as text. */
#ifndef EXL_SIGNATURE_H
#define EXL_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

typedef struct exl__public_key {
    uint8_t id[8];
    uint8_t key[32];
} exl__public_key;

typedef struct exl__signature {
    int prehashed; /* of BLAKE2b-512 of the message, not of the message itself */
    int canonical; /* its text is the only one of this signature: what nobody signed in it is as it must be */
    uint8_t key_id[8];
    uint8_t of_message[64];
    uint8_t of_comment[64]; /* over of_message and the trusted comment */
    const char *comment;    /* the trusted one, in the text that was read */
    size_t comment_bytes;
    uint64_t version; /* what stands behind "version:" in the trusted comment; 0 where nothing does */
} exl__signature;

/* Of a signature's text: minisign's own comments have 9 KB at most. */
enum { EXL__MOST_SIGNATURE_BYTES = 16384 };

/* The first line of a signature that is stored in a bundle. */
#define EXL__SIGNATURE_LINE "untrusted comment: signature of an edgexl bundle"

/* The text of a .pub file, or its line of base64 alone. Null, or why it is none, in words. */
const char *exl__public_key_read(const char *text, size_t bytes, exl__public_key *key);
const char *exl__signature_read(const char *text, size_t bytes, exl__signature *signature);
/* Whether message and trusted comment were signed by this key. */
int exl__signature_holds(const exl__signature *signature, const exl__public_key *key, const void *message,
                         size_t bytes);
/* A key's id as minisign shows it: 16 digits. */
void exl__key_id_write(const uint8_t id[8], char text[17]);

#endif
