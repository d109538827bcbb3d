/* signature.c: reads what minisign writes.
 *
 *     untrusted comment: what nobody has signed
 *     base64 of: "ED" (or "Ed", where the message is not hashed first), the key's id [8], the signature [64]
 *     trusted comment: what is signed, such as version:3
 *     base64 of: the signature [64] of the signature above and the trusted comment
 */
#include "compiler.h"

#include "signature.h"

#include <string.h>

#include "blake2b.h"
#include "ed25519.h"

enum {
    SIGNATURE_KEY_BYTES = 42, /* "Ed", id, key */
    SIGNATURE_HEAD_BYTES = 74 /* "ED", id, signature */
};

static const char SIGNATURE_UNTRUSTED[] = "untrusted comment: ";
static const char SIGNATURE_TRUSTED[] = "trusted comment: ";
static const char SIGNATURE_VERSION[] = "version:";

typedef struct signature_text {
    const char *at, *end;
} signature_text;

/* The next line without what ends it (\n or \r\n, or the text's end); 0 where there is none. */
static int signature_line(signature_text *text, const char **line, size_t *bytes) {
    const char *end;

    if (text->at == text->end)
        return 0;
    *line = text->at;
    end = memchr(text->at, '\n', (size_t)(text->end - text->at));
    *bytes = (size_t)((end ? end : text->end) - text->at);
    text->at = end ? end + 1 : text->end;
    if (*bytes > 0 && (*line)[*bytes - 1] == '\r')
        --*bytes;
    return 1;
}

static int signature_begins(const char *line, size_t bytes, const char *with) {
    return bytes >= strlen(with) && memcmp(line, with, strlen(with)) == 0;
}

static int signature_digit(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Exactly so many bytes, as base64 writes them: padded, and with no bit set that they do not have. */
static int signature_decode(const char *line, size_t bytes, uint8_t *out, size_t count) {
    size_t digits = (count * 8 + 5) / 6, written = 0;
    uint32_t held = 0;

    if (bytes != (count + 2) / 3 * 4)
        return 0;
    for (size_t i = 0; i < bytes; i++) {
        int digit = i < digits ? signature_digit(line[i]) : line[i] == '=' ? 0 : -1;
        if (digit < 0)
            return 0;
        held = (held << 6 | (uint32_t)digit) & 0xffffff;
        if (i % 4 < 3)
            continue;
        for (int shift = 16; shift >= 0; shift -= 8)
            if (written < count)
                out[written++] = (uint8_t)(held >> shift);
            else if (held >> shift & 0xff)
                return 0;
    }
    return 1;
}

/* The number behind "version:", a word of the comment. 0 where there are two, or what stands there is no number. */
static int signature_find_version(const char *comment, size_t bytes, uint64_t *version) {
    size_t head = strlen(SIGNATURE_VERSION), words = 0;

    *version = 0;
    for (size_t at = 0; at < bytes;) {
        size_t end = at;
        while (end < bytes && comment[end] != ' ' && comment[end] != '\t')
            end++;
        if (signature_begins(comment + at, end - at, SIGNATURE_VERSION)) {
            if (words++ > 0 || end - at == head)
                return 0;
            for (size_t i = at + head; i < end; i++) {
                uint64_t digit = (uint64_t)(comment[i] - '0');
                if (comment[i] < '0' || comment[i] > '9' || *version > (UINT64_MAX - digit) / 10)
                    return 0;
                *version = *version * 10 + digit;
            }
        }
        at = end + 1;
    }
    return 1;
}

const char *exl__public_key_read(const char *text, size_t bytes, exl__public_key *key) {
    signature_text from = {text, text + bytes};
    uint8_t decoded[SIGNATURE_KEY_BYTES];
    const char *line = text, *more;
    size_t line_bytes = 0, more_bytes;

    if (!signature_line(&from, &line, &line_bytes))
        return "it is empty";
    if (signature_begins(line, line_bytes, SIGNATURE_UNTRUSTED) && !signature_line(&from, &line, &line_bytes))
        return "it ends behind its comment";
    if (!signature_decode(line, line_bytes, decoded, sizeof decoded) || memcmp(decoded, "Ed", 2) != 0)
        return "it is no public key of minisign's, 56 characters that begin with RW";
    while (signature_line(&from, &more, &more_bytes))
        if (more_bytes > 0)
            return "there is something behind it";
    memcpy(key->id, decoded + 2, sizeof key->id);
    memcpy(key->key, decoded + 10, sizeof key->key);
    return NULL;
}

const char *exl__signature_read(const char *text, size_t bytes, exl__signature *signature) {
    signature_text from = {text, text + bytes};
    uint8_t head[SIGNATURE_HEAD_BYTES];
    const char *line = text;
    size_t line_bytes = 0;

    if (bytes > EXL__MOST_SIGNATURE_BYTES)
        return "it is too long";
    if (!signature_line(&from, &line, &line_bytes) || !signature_begins(line, line_bytes, SIGNATURE_UNTRUSTED))
        return "it does not begin with an untrusted comment";
    signature->canonical = line_bytes == strlen(EXL__SIGNATURE_LINE) &&
                           signature_begins(line, line_bytes, EXL__SIGNATURE_LINE) && text[bytes - 1] == '\n' &&
                           !memchr(text, '\r', bytes);
    if (!signature_line(&from, &line, &line_bytes) || !signature_decode(line, line_bytes, head, sizeof head))
        return "its second line is not base64 of 74 bytes";
    if (memcmp(head, "ED", 2) != 0 && memcmp(head, "Ed", 2) != 0)
        return "it is of a kind that is not known";
    signature->prehashed = head[1] == 'D';
    memcpy(signature->key_id, head + 2, sizeof signature->key_id);
    memcpy(signature->of_message, head + 10, sizeof signature->of_message);
    if (!signature_line(&from, &line, &line_bytes) || !signature_begins(line, line_bytes, SIGNATURE_TRUSTED))
        return "its third line is no trusted comment";
    signature->comment = line + strlen(SIGNATURE_TRUSTED);
    signature->comment_bytes = line_bytes - strlen(SIGNATURE_TRUSTED);
    if (!signature_find_version(signature->comment, signature->comment_bytes, &signature->version))
        return "its trusted comment has a version that is no number, or two of them";
    if (!signature_line(&from, &line, &line_bytes) ||
        !signature_decode(line, line_bytes, signature->of_comment, sizeof signature->of_comment))
        return "its last line is not base64 of 64 bytes";
    if (from.at != from.end)
        return "there is something behind it";
    return NULL;
}

int exl__signature_holds(const exl__signature *signature, const exl__public_key *key, const void *message,
                         size_t bytes) {
    uint8_t digest[64];

    if (signature->prehashed) {
        exl__blake2b_of(message, bytes, digest);
        message = digest;
        bytes = sizeof digest;
    }
    return exl__ed25519_check(signature->of_message, key->key, message, bytes, NULL, 0) &&
           exl__ed25519_check(signature->of_comment, key->key, signature->of_message, sizeof signature->of_message,
                              signature->comment, signature->comment_bytes);
}

void exl__key_id_write(const uint8_t id[8], char text[17]) {
    for (int i = 0; i < 16; i++)
        text[i] = "0123456789ABCDEF"[id[7 - i / 2] >> (i % 2 ? 0 : 4) & 15];
    text[16] = '\0';
}
