/* test_sha256_portable.c: test_sha256.c's examples, computed without the processor's instructions for it. */
#define SHA256_PORTABLE
#define exl__sha256_init portable_sha256_init
#define exl__sha256_update portable_sha256_update
#define exl__sha256_final portable_sha256_final
#include "../src/sha256.c"

#include "test_sha256.c"
