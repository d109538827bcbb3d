/* windows_probe.c: what test_windows.py has a Windows program do with edgexl.dll: windows_probe COMMAND BUNDLE [...].
 */
#include "edgexl.h"

#include <stdio.h>
#include <string.h>

#include "../../edgexl/runtime/tools/arguments.h"

static exl_error problem = {.struct_size = sizeof problem};
static exl_bundle *bundle;
static exl_session *session;

static int fail(const char *what) { return printf("%s: %s\n", what, problem.sentence), 1; }

static exl_status add(const char *id) {
    exl_new_label label = {.struct_size = sizeof label, .id = id, .text = "zebra lantern"};

    label.id_bytes = strlen(id), label.text_bytes = strlen(label.text);
    return exl_labels_add(session, &label, 1, NULL, NULL, &problem);
}

/* Adds labels PREFIX-0 and on, each said once it is in the set; after every `compact` of them the file is written anew.
 */
static int add_many(const char *prefix, int count, int compact) {
    char id[64];

    for (int i = 0; i < count; i++) {
        snprintf(id, sizeof id, "%s-%d", prefix, i);
        if (add(id) != EXL_OK)
            return fail("add");
        printf("%s\n", id);
        fflush(stdout);
        if (compact && i % compact == compact - 1 && exl_labels_compact(bundle, &problem) != EXL_OK)
            return fail("compact");
    }
    return 0;
}

/* The ids of labels that were added, each with its state. */
static int list(void) {
    exl_bundle_info compiled = {.struct_size = sizeof compiled};
    exl_labels_info info = {.struct_size = sizeof info};

    if (exl_bundle_get_info(bundle, &compiled, &problem) != EXL_OK ||
        exl_labels_get_info(bundle, &info, &problem) != EXL_OK)
        return fail("info");
    for (uint32_t number = compiled.labels; number < info.end; number++) {
        char id[256];
        exl_label label = {.struct_size = sizeof label, .id = id, .id_capacity = sizeof id};
        if (exl_label_read(bundle, number, &label, &problem) != EXL_OK)
            return fail("read");
        printf("%s %s\n", id, label.state == EXL_LABEL_RETIRED ? "retired" : "added");
    }
    return 0;
}

static int self_test(void) {
    exl_self_test_report report = {.struct_size = sizeof report};

    if (exl_self_test_run(session, &report, &problem) != EXL_OK)
        return fail("self-test");
    return printf("%u goldens\n", report.goldens), 0;
}

/* A bundle behind `offset` bytes of a file, by a descriptor whose place in the file stays; and one that is none. */
static int open_descriptor(const char *path, long offset) {
    int descriptor = _open(path, _O_RDONLY | _O_BINARY);
    exl_open_options options = {.struct_size = sizeof options, .flags = offset % 64 ? EXL_OPEN_COPY : 0};

    if (exl_bundle_open_descriptor(descriptor, (uint64_t)offset, 0, &options, &bundle, &problem) != EXL_OK ||
        exl_session_open(bundle, NULL, &session, &problem) != EXL_OK || self_test() != 0)
        return fail("descriptor");
    printf("at %ld\n", _tell(descriptor));
    _close(descriptor);
    printf("%d\n", exl_bundle_open_descriptor(descriptor, 0, 0, NULL, &bundle, &problem));
    return fail("closed");
}

int main(int count, char **arguments) {
    char **given = begin_command(&count, arguments);
    const char *command = given[1];
    exl_open_options options = {.struct_size = sizeof options};

    if (strcmp(command, "descriptor") == 0)
        return open_descriptor(given[2], strtol(given[3], NULL, 10));
    if (exl_bundle_open(given[2], &options, &bundle, &problem) != EXL_OK ||
        exl_session_open(bundle, NULL, &session, &problem) != EXL_OK)
        return fail("open");
    if (strcmp(command, "add") == 0)
        return add_many(given[3], (int)strtol(given[4], NULL, 10), (int)strtol(given[5], NULL, 10));
    if (strcmp(command, "retire") == 0) {
        const char *id = given[3];
        size_t bytes = strlen(id);
        return exl_labels_retire(bundle, &id, &bytes, 1, &problem) != EXL_OK ? fail("retire") : 0;
    }
    if (strcmp(command, "compact") == 0)
        return exl_labels_compact(bundle, &problem) != EXL_OK ? fail("compact") : 0;
    if (strcmp(command, "list") == 0)
        return list();
    if (strcmp(command, "hold") == 0) { /* until a line comes */
        puts("open");
        fflush(stdout);
        (void)getchar();
    }
    return self_test();
}
