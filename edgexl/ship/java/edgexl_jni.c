/* edgexl.h for Java: what Native.java declares, registered by its class's name, EXL_JNI_CLASS. Texts are UTF-8 in
 * arrays of bytes both ways, for JNI's own strings are of another kind. Answers are one array each, which Java reads;
 * numbers in it are in this machine's order. Each call into Java is checked: where it throws, its exception stands. */
#include "edgexl.h"

#include <jni.h>
#include <stdlib.h>
#include <string.h>

#define JNI_EXL_BUNDLE(handle) ((exl_bundle *)(intptr_t)(handle))
#define JNI_EXL_SESSION(handle) ((exl_session *)(intptr_t)(handle))
/* A struct of zeros that knows its size. */
#define JNI_EXL_SIZED(type) {.struct_size = sizeof(type)}

static jclass jni_class;
static jmethodID jni_refuse;

/* ---- errors ---------------------------------------------------------------------------------------------------- */

static jbyteArray jni_bytes(JNIEnv *env, const void *content, size_t length) {
    jbyteArray made = length > INT32_MAX ? NULL : (*env)->NewByteArray(env, (jsize)length);
    if (made != NULL)
        (*env)->SetByteArrayRegion(env, made, 0, (jsize)length, content);
    return made;
}

/* Throws an EdgexlException, by Java; nothing may be called then but what releases. */
static void jni_throw(JNIEnv *env, int32_t status, const char *sentence) {
    jbyteArray said = jni_bytes(env, sentence, strlen(sentence));
    if (said != NULL)
        (*env)->CallStaticVoidMethod(env, jni_class, jni_refuse, (jint)status, said);
}

/* Whether the library did it; else it is thrown. */
static int jni_done(JNIEnv *env, exl_status status, const exl_error *error) {
    if (status != EXL_OK)
        jni_throw(env, (int32_t)status, error->sentence);
    return status == EXL_OK;
}

static void jni_throw_memory(JNIEnv *env) { jni_throw(env, EXL_OUT_OF_MEMORY, exl_describe_status(EXL_OUT_OF_MEMORY)); }

/* ---- texts ----------------------------------------------------------------------------------------------------- */

typedef struct jni_text {
    char *start; /* with a NUL at its end */
    size_t length;
} jni_text;

/* Copies a Java array; the caller frees `start`. Null, with an exception, where that cannot be. */
static jni_text jni_read(JNIEnv *env, jbyteArray array) {
    jni_text text = {NULL, 0};
    const jsize length = (*env)->GetArrayLength(env, array);
    text.start = malloc((size_t)length + 1);
    if (text.start == NULL) {
        jni_throw_memory(env);
        return text;
    }
    (*env)->GetByteArrayRegion(env, array, 0, length, (jbyte *)text.start);
    text.start[length] = '\0';
    text.length = (size_t)length;
    return text;
}

/* What is written for Java: it grows, and remembers that it could not. */
typedef struct jni_out {
    unsigned char *start;
    size_t length, capacity;
    int failed;
} jni_out;

static void jni_put(jni_out *out, const void *content, size_t length) {
    if (out->failed || length > SIZE_MAX / 2 - out->length) {
        out->failed = 1;
        return;
    }
    if (out->length + length > out->capacity) {
        const size_t capacity = 2 * (out->length + length) + 256;
        unsigned char *larger = realloc(out->start, capacity);
        if (larger == NULL) {
            out->failed = 1;
            return;
        }
        out->start = larger, out->capacity = capacity;
    }
    if (length != 0)
        memcpy(out->start + out->length, content, length);
    out->length += length;
}

static void jni_put_int(jni_out *out, uint32_t number) { jni_put(out, &number, sizeof number); }
static void jni_put_float(jni_out *out, float number) { jni_put(out, &number, sizeof number); }

static void jni_put_text(jni_out *out, const char *text, size_t length) {
    out->failed |= length > INT32_MAX;
    jni_put_int(out, (uint32_t)length);
    jni_put(out, text, length);
}

/* The array of what was written, or null with an exception. */
static jbyteArray jni_give(JNIEnv *env, jni_out *out) {
    jbyteArray made = NULL;
    if (out->failed)
        jni_throw_memory(env);
    else
        made = jni_bytes(env, out->start, out->length);
    free(out->start);
    return made;
}

/* ---- open and close -------------------------------------------------------------------------------------------- */

/* What OpenOptions says: exl_open_options, and the memory that it points to. */
typedef struct jni_options {
    exl_open_options told;
    jni_text labels, signature;
    char **keys; /* [told.trusted_key_count] */
} jni_options;

static void jni_release(jni_options *options) {
    for (size_t i = 0; options->keys != NULL && i < options->told.trusted_key_count; i++)
        free(options->keys[i]);
    free(options->keys);
    free(options->labels.start);
    free(options->signature.start);
}

/* Whether it could be taken over; else there is an exception. The caller releases it either way. */
static int jni_take(JNIEnv *env, jni_options *options, jbyteArray labels, jint flags, jobjectArray keys, jlong least,
                    jbyteArray signature) {
    const size_t count = (size_t)(*env)->GetArrayLength(env, keys);
    const exl_open_options none = JNI_EXL_SIZED(exl_open_options);
    memset(options, 0, sizeof *options);
    options->told = none;
    options->told.flags = (uint32_t)flags;
    options->told.least_version = (uint64_t)least;
    if (count > 0 && (options->keys = calloc(count, sizeof *options->keys)) == NULL) {
        jni_throw_memory(env);
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        jbyteArray from = (jbyteArray)(*env)->GetObjectArrayElement(env, keys, (jsize)i);
        if ((*env)->ExceptionCheck(env))
            return 0;
        options->told.trusted_key_count = i + 1;
        options->keys[i] = jni_read(env, from).start;
        (*env)->DeleteLocalRef(env, from);
        if (options->keys[i] == NULL)
            return 0;
    }
    if ((labels != NULL && (options->labels = jni_read(env, labels)).start == NULL) ||
        (signature != NULL && (options->signature = jni_read(env, signature)).start == NULL))
        return 0;
    options->told.trusted_keys = (const char *const *)options->keys;
    options->told.labels_path = options->labels.start;
    options->told.signature = options->signature.start;
    options->told.signature_bytes = options->signature.length;
    return 1;
}

static jlong JNICALL jni_open(JNIEnv *env, jclass class, jbyteArray path, jbyteArray labels, jint flags,
                              jobjectArray keys, jlong least, jbyteArray signature) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    exl_bundle *bundle = NULL;
    jni_options options;
    jni_text file = jni_read(env, path);
    if (file.start == NULL)
        return 0;
    if (jni_take(env, &options, labels, flags, keys, least, signature))
        jni_done(env, exl_bundle_open(file.start, &options.told, &bundle, &error), &error);
    jni_release(&options);
    free(file.start);
    return (jlong)(intptr_t)bundle;
}

static jlong JNICALL jni_open_memory(JNIEnv *env, jclass class, jbyteArray content, jbyteArray labels, jint flags,
                                     jobjectArray keys, jlong least, jbyteArray signature) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    exl_bundle *bundle = NULL;
    jni_options options;
    if (jni_take(env, &options, labels, flags, keys, least, signature)) {
        jbyte *bytes = (*env)->GetByteArrayElements(env, content, NULL);
        if (bytes != NULL) {
            const size_t length = (size_t)(*env)->GetArrayLength(env, content);
            options.told.flags |= EXL_OPEN_COPY;
            const exl_status status = exl_bundle_open_memory(bytes, length, &options.told, &bundle, &error);
            (*env)->ReleaseByteArrayElements(env, content, bytes, JNI_ABORT);
            jni_done(env, status, &error);
        }
    }
    jni_release(&options);
    return (jlong)(intptr_t)bundle;
}

static jlong JNICALL jni_open_descriptor(JNIEnv *env, jclass class, jint descriptor, jlong offset, jlong length,
                                         jbyteArray labels, jint flags, jobjectArray keys, jlong least,
                                         jbyteArray signature) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    exl_bundle *bundle = NULL;
    jni_options options;
    if (jni_take(env, &options, labels, flags, keys, least, signature)) {
        options.told.flags |= offset % 64 != 0 ? EXL_OPEN_COPY : 0u;
        const exl_status status =
            exl_bundle_open_descriptor(descriptor, (uint64_t)offset, (uint64_t)length, &options.told, &bundle, &error);
        jni_done(env, status, &error);
    }
    jni_release(&options);
    return (jlong)(intptr_t)bundle;
}

/* Whether the array, which may be null, could be copied; the caller frees `start`. */
static int jni_read_optional(JNIEnv *env, jbyteArray array, jni_text *text) {
    const jni_text none = {NULL, 0};
    *text = array == NULL ? none : jni_read(env, array);
    return array == NULL || text->start != NULL;
}

static jbyteArray JNICALL jni_update(JNIEnv *env, jclass class, jbyteArray path, jbyteArray patch, jbyteArray out,
                                     jbyteArray labels, jint flags, jobjectArray keys, jlong least,
                                     jbyteArray signature, jbyteArray patch_signature, jboolean signed_patch) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    exl_patch_options how = JNI_EXL_SIZED(exl_patch_options);
    exl_patch_report report = JNI_EXL_SIZED(exl_patch_report);
    jni_options options;
    jni_text from[4] = {{NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}}; /* path, patch, out, the patch's signature */
    jbyteArray made = NULL;
    if (jni_take(env, &options, labels, flags, keys, least, signature) && jni_read_optional(env, path, &from[0]) &&
        jni_read_optional(env, patch, &from[1]) && jni_read_optional(env, out, &from[2]) &&
        jni_read_optional(env, patch_signature, &from[3])) {
        how.open = &options.told;
        how.signature = from[3].start;
        how.signature_bytes = from[3].length;
        how.signed_patch = signed_patch;
        if (jni_done(env, exl_patch(from[0].start, from[1].start, from[2].start, &how, &report, &error), &error)) {
            jni_out told = {NULL, 0, 0, 0};
            jni_put(&told, &report.new_bytes, sizeof report.new_bytes);
            jni_put_int(&told, report.added);
            jni_put_int(&told, report.retired);
            jni_put_int(&told, report.dropped);
            made = jni_give(env, &told);
        }
    }
    jni_release(&options);
    for (size_t i = 0; i < sizeof from / sizeof *from; i++)
        free(from[i].start);
    return made;
}

static void JNICALL jni_close(JNIEnv *env, jclass class, jlong bundle) {
    (void)env, (void)class;
    exl_bundle_close(JNI_EXL_BUNDLE(bundle));
}

static jlong JNICALL jni_open_session(JNIEnv *env, jclass class, jlong bundle) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    exl_session *session = NULL;
    jni_done(env, exl_session_open(JNI_EXL_BUNDLE(bundle), NULL, &session, &error), &error);
    return (jlong)(intptr_t)session;
}

static void JNICALL jni_close_session(JNIEnv *env, jclass class, jlong session) {
    (void)env, (void)class;
    exl_session_close(JNI_EXL_SESSION(session));
}

/* ---- answer ---------------------------------------------------------------------------------------------------- */

static jbyteArray JNICALL jni_predict(JNIEnv *env, jclass class, jlong session, jbyteArray text, jint k,
                                      jboolean use_threshold, jfloat threshold, jfloat coverage, jint windows) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    exl_predict_options options = JNI_EXL_SIZED(exl_predict_options);
    const exl_result *result = NULL;
    options.k = (uint32_t)k;
    options.use_threshold = use_threshold;
    options.threshold = use_threshold ? threshold : 0;
    options.coverage = coverage;
    options.windows = (uint32_t)windows;
    jni_text asked = jni_read(env, text);
    if (asked.start == NULL)
        return NULL;
    const exl_status status =
        exl_predict(JNI_EXL_SESSION(session), asked.start, asked.length, &options, &result, &error);
    free(asked.start);
    if (!jni_done(env, status, &error))
        return NULL;
    jni_out out = {NULL, 0, 0, 0};
    jni_put_int(&out, (uint32_t)result->count);
    jni_put_int(&out, result->none_fits != 0);
    jni_put_int(&out, result->coverage_holds != 0);
    jni_put_int(&out, result->truncated != 0);
    jni_put_int(&out, result->tokens);
    jni_put_int(&out, result->windows);
    jni_put(&out, &result->total_ms, sizeof result->total_ms);
    for (size_t i = 0; i < result->count; i++) {
        const exl_prediction *one = result->predictions[i];
        jni_put_int(&out, one->label);
        jni_put_float(&out, one->probability);
        jni_put_float(&out, one->logit);
        jni_put_text(&out, one->id, strlen(one->id));
        jni_put_text(&out, one->text, strlen(one->text));
    }
    return jni_give(env, &out);
}

static jbyteArray JNICALL jni_explain(JNIEnv *env, jclass class, jlong session, jbyteArray text, jint label) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    exl_explanation way = JNI_EXL_SIZED(exl_explanation);
    jni_text asked = jni_read(env, text);
    if (asked.start == NULL)
        return NULL;
    const exl_status status =
        exl_explain(JNI_EXL_SESSION(session), asked.start, asked.length, (uint32_t)label, &way, &error);
    free(asked.start);
    if (!jni_done(env, status, &error))
        return NULL;
    jni_out out = {NULL, 0, 0, 0};
    jni_put_int(&out, way.screening_rank);
    jni_put_float(&out, way.screening_score);
    jni_put_int(&out, way.shortlisted);
    jni_put_int(&out, way.reasoner_rank);
    jni_put_float(&out, way.logit);
    jni_put_float(&out, way.probability);
    jni_put_int(&out, (uint32_t)way.found_by);
    return jni_give(env, &out);
}

static jbyteArray JNICALL jni_self_test(JNIEnv *env, jclass class, jlong session) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    exl_self_test_report report = JNI_EXL_SIZED(exl_self_test_report);
    if (!jni_done(env, exl_self_test_run(JNI_EXL_SESSION(session), &report, &error), &error))
        return NULL;
    jni_out out = {NULL, 0, 0, 0};
    jni_put_int(&out, report.goldens);
    jni_put_float(&out, report.largest_probability_difference);
    return jni_give(env, &out);
}

static jbyteArray JNICALL jni_info(JNIEnv *env, jclass class, jlong bundle) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    exl_bundle_info info = JNI_EXL_SIZED(exl_bundle_info);
    if (!jni_done(env, exl_bundle_get_info(JNI_EXL_BUNDLE(bundle), &info, &error), &error))
        return NULL;
    jni_out out = {NULL, 0, 0, 0};
    const uint32_t numbers[] = {info.labels,  info.rows,    info.dims,         info.shortlist,    info.max_tokens,
                                info.windows, info.goldens, info.format_major, info.format_minor, info.copied};
    jni_put(&out, numbers, sizeof numbers);
    jni_put_float(&out, info.threshold);
    jni_put_text(&out, info.kernel, strlen(info.kernel));
    jni_put_text(&out, info.manifest, info.manifest_bytes);
    return jni_give(env, &out);
}

static jbyteArray JNICALL jni_golden(JNIEnv *env, jclass class, jlong bundle, jint golden) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    const char *text = NULL;
    size_t length = 0;
    if (!jni_done(env, exl_golden_read(JNI_EXL_BUNDLE(bundle), (uint32_t)golden, &text, &length, &error), &error))
        return NULL;
    return jni_bytes(env, text, length);
}

static jbyteArray JNICALL jni_version(JNIEnv *env, jclass class) {
    (void)class;
    return jni_bytes(env, exl_get_version(), strlen(exl_get_version()));
}

/* ---- labels ---------------------------------------------------------------------------------------------------- */

static jint JNICALL jni_find(JNIEnv *env, jclass class, jlong bundle, jbyteArray id) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    uint32_t number = 0;
    jni_text named = jni_read(env, id);
    if (named.start == NULL)
        return 0;
    const exl_status status = exl_label_find(JNI_EXL_BUNDLE(bundle), named.start, named.length, &number, &error);
    free(named.start);
    jni_done(env, status, &error);
    return (jint)number;
}

static jint JNICALL jni_labels_end(JNIEnv *env, jclass class, jlong bundle) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    exl_labels_info info = JNI_EXL_SIZED(exl_labels_info);
    jni_done(env, exl_labels_get_info(JNI_EXL_BUNDLE(bundle), &info, &error), &error);
    return (jint)info.end;
}

static jbyteArray JNICALL jni_label(JNIEnv *env, jclass class, jlong bundle, jint number) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    exl_label label = JNI_EXL_SIZED(exl_label);
    char none = '\0';
    label.id = label.text = &none;
    /* too small: it tells the lengths */
    (void)exl_label_read(JNI_EXL_BUNDLE(bundle), (uint32_t)number, &label, NULL);
    label.id_capacity = label.id_bytes + 1, label.text_capacity = label.text_bytes + 1;
    label.id = malloc(label.id_capacity), label.text = malloc(label.text_capacity);
    jbyteArray made = NULL;
    if (label.id == NULL || label.text == NULL)
        jni_throw_memory(env);
    else if (jni_done(env, exl_label_read(JNI_EXL_BUNDLE(bundle), (uint32_t)number, &label, &error), &error)) {
        jni_out out = {NULL, 0, 0, 0};
        jni_put_int(&out, (uint32_t)label.state);
        jni_put_text(&out, label.id, label.id_bytes);
        jni_put_text(&out, label.text, label.text_bytes);
        made = jni_give(env, &out);
    }
    free(label.id);
    free(label.text);
    return made;
}

static jintArray JNICALL jni_complete(JNIEnv *env, jclass class, jlong bundle, jbyteArray prefix, jint limit) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    uint32_t count = 0;
    jintArray made = NULL;
    jni_text typed = jni_read(env, prefix);
    if (typed.start == NULL)
        return NULL;
    uint32_t *numbers = calloc((size_t)limit + 1, sizeof *numbers);
    if (numbers == NULL)
        jni_throw_memory(env);
    else if (jni_done(env,
                      exl_labels_complete(JNI_EXL_BUNDLE(bundle), typed.start, typed.length, 0, numbers,
                                          (uint32_t)limit, &count, &error),
                      &error) &&
             (made = (*env)->NewIntArray(env, (jsize)count)) != NULL)
        (*env)->SetIntArrayRegion(env, made, 0, (jsize)count, (const jint *)numbers);
    free(numbers);
    free(typed.start);
    return made;
}

/* Adds one label; `aliases` is an array of arrays of bytes. */
static void JNICALL jni_add(JNIEnv *env, jclass class, jlong session, jbyteArray id, jbyteArray text,
                            jobjectArray aliases, jboolean replace) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    exl_new_label label = JNI_EXL_SIZED(exl_new_label);
    exl_add_options options = JNI_EXL_SIZED(exl_add_options);
    const size_t count = (size_t)(*env)->GetArrayLength(env, aliases);
    /* id and text, then the aliases */
    char **starts = calloc(count + 2, sizeof *starts);
    size_t *lengths = calloc(count + 2, sizeof *lengths);
    int sound = starts != NULL && lengths != NULL;
    if (!sound)
        jni_throw_memory(env);
    for (size_t i = 0; sound && i < count + 2; i++) {
        jbyteArray from =
            i == 0 ? id : (i == 1 ? text : (jbyteArray)(*env)->GetObjectArrayElement(env, aliases, (jsize)(i - 2)));
        if ((sound = !(*env)->ExceptionCheck(env))) {
            const jni_text read = jni_read(env, from);
            starts[i] = read.start, lengths[i] = read.length;
            sound = read.start != NULL;
            if (i > 1)
                (*env)->DeleteLocalRef(env, from);
        }
    }
    if (sound) {
        label.id = starts[0], label.id_bytes = lengths[0];
        label.text = starts[1], label.text_bytes = lengths[1];
        label.aliases = (const char *const *)(starts + 2), label.alias_bytes = lengths + 2;
        label.alias_count = count;
        options.replace = replace;
        jni_done(env, exl_labels_add(JNI_EXL_SESSION(session), &label, 1, &options, NULL, &error), &error);
    }
    for (size_t i = 0; starts != NULL && i < count + 2; i++)
        free(starts[i]);
    free(starts);
    free(lengths);
}

static void JNICALL jni_retire(JNIEnv *env, jclass class, jlong bundle, jbyteArray id) {
    (void)class;
    exl_error error = JNI_EXL_SIZED(exl_error);
    jni_text named = jni_read(env, id);
    if (named.start == NULL)
        return;
    const char *const ids[] = {named.start};
    const exl_status status = exl_labels_retire(JNI_EXL_BUNDLE(bundle), ids, &named.length, 1, &error);
    free(named.start);
    jni_done(env, status, &error);
}

/* ---- registration ---------------------------------------------------------------------------------------------- */

#if defined(__clang__) || defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wpedantic" /* JNI has functions as pointers to data */
#endif
#define JNI_EXL_METHOD(name, signature, function) {(char *)(name), (char *)(signature), (void *)(function)}

JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM *machine, void *reserved) {
    (void)reserved;
    static const JNINativeMethod methods[] = {
        JNI_EXL_METHOD("open", "([B[BI[[BJ[B)J", jni_open),
        JNI_EXL_METHOD("openMemory", "([B[BI[[BJ[B)J", jni_open_memory),
        JNI_EXL_METHOD("openDescriptor", "(IJJ[BI[[BJ[B)J", jni_open_descriptor),
        JNI_EXL_METHOD("update", "([B[B[B[BI[[BJ[B[BZ)[B", jni_update),
        JNI_EXL_METHOD("close", "(J)V", jni_close),
        JNI_EXL_METHOD("openSession", "(J)J", jni_open_session),
        JNI_EXL_METHOD("closeSession", "(J)V", jni_close_session),
        JNI_EXL_METHOD("predict", "(J[BIZFFI)[B", jni_predict),
        JNI_EXL_METHOD("explain", "(J[BI)[B", jni_explain),
        JNI_EXL_METHOD("selfTest", "(J)[B", jni_self_test),
        JNI_EXL_METHOD("info", "(J)[B", jni_info),
        JNI_EXL_METHOD("golden", "(JI)[B", jni_golden),
        JNI_EXL_METHOD("version", "()[B", jni_version),
        JNI_EXL_METHOD("find", "(J[B)I", jni_find),
        JNI_EXL_METHOD("labelsEnd", "(J)I", jni_labels_end),
        JNI_EXL_METHOD("label", "(JI)[B", jni_label),
        JNI_EXL_METHOD("complete", "(J[BI)[I", jni_complete),
        JNI_EXL_METHOD("add", "(J[B[B[[BZ)V", jni_add),
        JNI_EXL_METHOD("retire", "(J[B)V", jni_retire),
    };
    void *found = NULL;
    if ((*machine)->GetEnv(machine, &found, JNI_VERSION_1_6) != JNI_OK)
        return JNI_ERR;
    JNIEnv *env = found;
    jclass class = (*env)->FindClass(env, EXL_JNI_CLASS);
    if (class == NULL || (jni_class = (*env)->NewGlobalRef(env, class)) == NULL)
        return JNI_ERR;
    jni_refuse = (*env)->GetStaticMethodID(env, jni_class, "refuse", "(I[B)V");
    if (jni_refuse == NULL ||
        (*env)->RegisterNatives(env, jni_class, methods, (jint)(sizeof methods / sizeof methods[0])) != JNI_OK)
        return JNI_ERR;
    return JNI_VERSION_1_6;
}
