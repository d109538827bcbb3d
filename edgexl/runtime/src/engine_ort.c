/* engine_ort.c: ONNX Runtime as the engine, loaded with dlopen. No header of theirs is used, and nothing is linked.
 *
 * OrtApi is a table of function pointers that only ever grows at its end, so the position of a function is its stable
 * identity. Below are the positions of the functions used and the types they are called with; they stand in this order
 * in onnxruntime/core/session/onnxruntime_c_api.cc, whose own static assertions fix the last position of each version.
 * The youngest function here came with version 12 of the table (ONNX Runtime 1.12).
 */
#include "compiler.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "memory.h"
#include "platform.h"

#if defined(EXL_BARE)

static exl_status engine_ort_refuse(const exl_allocator *allocator, const char *library, uint32_t threads, int scalar,
                                    exl__engine_state **state, exl_error *error) {
    (void)allocator, (void)library, (void)threads, (void)scalar, (void)state;
    return exl__fail(error, EXL_ENGINE_MISSING,
                     "there is no ONNX Runtime here: compile the bundle for the native engine");
}

const exl__engine exl__engine_ort = {.name = "ort", .open = engine_ort_refuse};

#else

/* ---- ONNX Runtime's interface, as far as it is used -------------------------------------------------------- */

typedef struct OrtStatus OrtStatus; /* null = success */
typedef struct OrtEnv OrtEnv;
typedef struct OrtSession OrtSession;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtThreadingOptions OrtThreadingOptions;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtAllocator OrtAllocator;
typedef struct OrtValue OrtValue;
typedef struct OrtTypeInfo OrtTypeInfo;
typedef struct OrtTensorInfo OrtTensorInfo; /* OrtTensorTypeAndShapeInfo */
typedef void (*engine_ort_slot)(void);

enum {
    ENGINE_ORT_API_VERSION = 12,
    ENGINE_ORT_LOG_FATAL = 4,
    ENGINE_ORT_DEVICE_ALLOCATOR = 0,
    ENGINE_ORT_MEM_DEFAULT = 0
};

typedef struct OrtApiBase {
    const engine_ort_slot *(*GetApi)(uint32_t version);
    const char *(*GetVersionString)(void);
} OrtApiBase;

/* X(position, name, result, arguments) */
#define ENGINE_ORT_FUNCTIONS(X)                                                                                        \
    X(2, GetErrorMessage, const char *, (const OrtStatus *))                                                           \
    X(3, CreateEnv, OrtStatus *, (int log_level, const char *log_id, OrtEnv **))                                       \
    X(6, DisableTelemetryEvents, OrtStatus *, (const OrtEnv *))                                                        \
    X(8, CreateSessionFromArray, OrtStatus *,                                                                          \
      (const OrtEnv *, const void *model, size_t model_bytes, const OrtSessionOptions *, OrtSession **))               \
    X(9, Run, OrtStatus *,                                                                                             \
      (const OrtSession *, const void *run_options, const char *const *input_names, const OrtValue *const *inputs,     \
       size_t input_count, const char *const *output_names, size_t output_count, OrtValue **outputs))                  \
    X(10, CreateSessionOptions, OrtStatus *, (OrtSessionOptions **))                                                   \
    X(17, DisableMemPattern, OrtStatus *, (OrtSessionOptions *))                                                       \
    X(23, SetSessionGraphOptimizationLevel, OrtStatus *, (OrtSessionOptions *, int level))                             \
    X(24, SetIntraOpNumThreads, OrtStatus *, (OrtSessionOptions *, int threads))                                       \
    X(30, SessionGetInputCount, OrtStatus *, (const OrtSession *, size_t *))                                           \
    X(31, SessionGetOutputCount, OrtStatus *, (const OrtSession *, size_t *))                                          \
    X(33, SessionGetInputTypeInfo, OrtStatus *, (const OrtSession *, size_t index, OrtTypeInfo **))                    \
    X(34, SessionGetOutputTypeInfo, OrtStatus *, (const OrtSession *, size_t index, OrtTypeInfo **))                   \
    X(36, SessionGetInputName, OrtStatus *, (const OrtSession *, size_t index, OrtAllocator *, char **))               \
    X(37, SessionGetOutputName, OrtStatus *, (const OrtSession *, size_t index, OrtAllocator *, char **))              \
    X(49, CreateTensorWithDataAsOrtValue, OrtStatus *,                                                                 \
      (const OrtMemoryInfo *, void *data, size_t data_bytes, const int64_t *dims, size_t rank, int type, OrtValue **)) \
    X(55, CastTypeInfoToTensorInfo, OrtStatus *, (const OrtTypeInfo *, const OrtTensorInfo **))                        \
    X(60, GetTensorElementType, OrtStatus *, (const OrtTensorInfo *, int *))                                           \
    X(61, GetDimensionsCount, OrtStatus *, (const OrtTensorInfo *, size_t *))                                          \
    X(69, CreateCpuMemoryInfo, OrtStatus *, (int allocator_type, int memory_type, OrtMemoryInfo **))                   \
    X(76, AllocatorFree, OrtStatus *, (OrtAllocator *, void *))                                                        \
    X(78, GetAllocatorWithDefaultOptions, OrtStatus *, (OrtAllocator **)) /* not to be released */                     \
    X(92, ReleaseEnv, void, (OrtEnv *))                                                                                \
    X(93, ReleaseStatus, void, (OrtStatus *))                                                                          \
    X(94, ReleaseMemoryInfo, void, (OrtMemoryInfo *))                                                                  \
    X(95, ReleaseSession, void, (OrtSession *))                                                                        \
    X(96, ReleaseValue, void, (OrtValue *))                                                                            \
    X(98, ReleaseTypeInfo, void, (OrtTypeInfo *))                                                                      \
    X(100, ReleaseSessionOptions, void, (OrtSessionOptions *))                                                         \
    X(119, CreateEnvWithGlobalThreadPools, OrtStatus *,                                                                \
      (int log_level, const char *log_id, const OrtThreadingOptions *, OrtEnv **))                                     \
    X(120, DisablePerSessionThreads, OrtStatus *, (OrtSessionOptions *))                                               \
    X(121, CreateThreadingOptions, OrtStatus *, (OrtThreadingOptions **))                                              \
    X(122, ReleaseThreadingOptions, void, (OrtThreadingOptions *))                                                     \
    X(130, AddSessionConfigEntry, OrtStatus *, (OrtSessionOptions *, const char *key, const char *value))              \
    X(147, SetGlobalIntraOpNumThreads, OrtStatus *, (OrtThreadingOptions *, int threads))                              \
    X(149, SetGlobalSpinControl, OrtStatus *, (OrtThreadingOptions *, int spin))                                       \
    X(150, AddInitializer, OrtStatus *, (OrtSessionOptions *, const char *name, const OrtValue *))                     \
    X(210, AddExternalInitializers, OrtStatus *,                                                                       \
      (OrtSessionOptions *, const char *const *names, const OrtValue *const *values, size_t count))

typedef struct engine_ort_api {
#define ORT_FIELD(position, name, result, arguments) result(*name) arguments;
    ENGINE_ORT_FUNCTIONS(ORT_FIELD)
#undef ORT_FIELD
} engine_ort_api;

/* ---- state -------------------------------------------------------------------------------------------------- */

struct exl__engine_state {
    const exl_allocator *allocator;
    engine_ort_api api;
    OrtEnv *env;
    OrtMemoryInfo *memory_info;
    OrtAllocator *ort_allocator;
    uint32_t threads;
    long process;    /* in which they are */
    int own_threads; /* nonzero: each graph has its own, there is no shared pool */
};

struct exl__graph {
    exl__engine_state *state;
    const char *role;
    OrtSession *session;
    OrtValue **weights; /* over the mapped bundle; the session refers to them */
    size_t weight_count;
};

/* The engine's own words, on one line, into our error; the OrtStatus is released. */
static exl_status engine_ort_report(const engine_ort_api *api, OrtStatus *from, exl_status status, const char *what,
                                    exl_error *error) {
    const char *words = api->GetErrorMessage(from);

    exl__fail(error, status, "%s: %s", what, words ? words : "no reason given");
    for (char *at = error ? error->sentence : NULL; at && *at; at++)
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    api->ReleaseStatus(from);
    return status;
}

/* ---- loading ------------------------------------------------------------------------------------------------ */

static const char ENGINE_ORT_HOW_TO_GET_IT[] =
    "`pip install onnxruntime` brings it; set EDGEXL_ORT_LIBRARY to its path";

static exl_status engine_ort_load_library(const char *path, void **library, exl_error *error) {
    static const char *const searched[] = {
#if defined(__APPLE__)
        "libonnxruntime.dylib",
#elif defined(_WIN32) /* first beside the program; then Windows's own, which may be too old and then is refused */
        "onnxruntime.dll",
#else
        "libonnxruntime.so.1",
        "libonnxruntime.so",
#endif
    };
    char why[256] = "";

    if (!path || !*path)
        path = getenv("EDGEXL_ORT_LIBRARY");
    if (path && *path) {
        *library = exl__library_open(path, why, sizeof why);
        if (*library)
            return EXL_OK;
        return exl__fail(error, EXL_ENGINE_MISSING, "ONNX Runtime's library cannot be loaded from %.160s (%s): %s",
                         path, why, ENGINE_ORT_HOW_TO_GET_IT);
    }
    for (size_t i = 0; i < sizeof searched / sizeof *searched; i++) {
        *library = exl__library_open(searched[i], why, sizeof why);
        if (*library)
            return EXL_OK;
    }
    return exl__fail(error, EXL_ENGINE_MISSING, "ONNX Runtime's library, %s, is not where the loader looks (%s): %s",
                     searched[0], why, ENGINE_ORT_HOW_TO_GET_IT);
}

/* The minor number is asked first: GetApi prints when it is asked for a version that it does not have. */
static exl_status engine_ort_bind_functions(void *library, engine_ort_api *api, exl_error *error) {
    const OrtApiBase *(*get_base)(void);
    void *symbol = exl__library_symbol(library, "OrtGetApiBase");
    const engine_ort_slot *slots = NULL;
    const OrtApiBase *base;
    const char *version;
    unsigned major = 0, minor = 0;

    if (!symbol)
        return exl__fail(error, EXL_ENGINE_MISSING, "the engine library is not ONNX Runtime (no OrtGetApiBase): %s",
                         ENGINE_ORT_HOW_TO_GET_IT);
    memcpy(&get_base, &symbol, sizeof symbol); /* ISO C has no cast from an object to a function pointer */
    base = get_base();
    version = base ? base->GetVersionString() : "";
    if (sscanf(version, "%u.%u", &major, &minor) == 2 && (major > 1 || minor >= ENGINE_ORT_API_VERSION))
        slots = base->GetApi(ENGINE_ORT_API_VERSION);
    if (!slots)
        return exl__fail(error, EXL_ENGINE_TOO_OLD, "ONNX Runtime %.20s is too old, 1.%d or newer is needed: %s",
                         version, ENGINE_ORT_API_VERSION, ENGINE_ORT_HOW_TO_GET_IT);
#define ORT_BIND(position, name, result, arguments) api->name = (result(*) arguments)slots[position];
    ENGINE_ORT_FUNCTIONS(ORT_BIND)
#undef ORT_BIND
    return EXL_OK;
}

/* ONNX Runtime keeps a device id and a database of events in the user's cache, and sends them. A newer one must be told
 * not to before its environment is made, which only a variable of the process can; an older one, after. Who has set the
 * variable has chosen. */
static const char *engine_ort_forbid_telemetry(void) {
    static const char variable[] = "ORT_DISABLE_TELEMETRY";
    const char *chosen = getenv(variable);

    if (!chosen)
        exl__set_variable(variable, "1");
    return chosen ? chosen : "1";
}

/* One thread needs no pool. More: one pool for both graphs, without spinning, which ONNX Runtime can only give to the
 * whole process; the first bundle that asks for threads sets their number for as long as it is open. */
static OrtStatus *engine_ort_create_env(const engine_ort_api *api, uint32_t threads, int own_threads, OrtEnv **env) {
    OrtThreadingOptions *options = NULL;
    OrtStatus *failed;

    if (own_threads)
        return api->CreateEnv(ENGINE_ORT_LOG_FATAL, "edgexl", env);
    failed = api->CreateThreadingOptions(&options);
    if (!failed)
        failed = api->SetGlobalIntraOpNumThreads(options, (int)threads);
    if (!failed)
        failed = api->SetGlobalSpinControl(options, 0);
    if (!failed)
        failed = api->CreateEnvWithGlobalThreadPools(ENGINE_ORT_LOG_FATAL, "edgexl", options, env);
    if (options)
        api->ReleaseThreadingOptions(options);
    return failed;
}

/* The process that started the shared pool; 0 = none has. A child made by fork has the pool and not its threads. */
static _Atomic long engine_ort_pool_process;

static int engine_ort_pool_is_lost(void) {
    return engine_ort_pool_process != 0 && engine_ort_pool_process != exl__process();
}

/* A run would wait for such threads for ever, and so would their end. */
static int engine_ort_threads_are_lost(const exl__engine_state *state) {
    return state->threads > 1 && state->process != exl__process();
}

static void engine_ort_close(exl__engine_state *state) {
    if (!state)
        return;
    if (state->memory_info)
        state->api.ReleaseMemoryInfo(state->memory_info);
    if (state->env && !engine_ort_threads_are_lost(state))
        state->api.ReleaseEnv(state->env);
    exl__release(state->allocator, state, 1, sizeof *state);
}

static exl_status engine_ort_open(const exl_allocator *allocator, const char *library_path, uint32_t threads,
                                  int scalar, exl__engine_state **out, exl_error *error) {
    exl_status status = EXL_OK;
    exl__engine_state *state;
    const char *telemetry;
    OrtStatus *failed;
    void *library = NULL;

    (void)scalar; /* its kernels are its own */
    state = exl__allocate(allocator, 1, sizeof *state);
    if (!state)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the engine");
    state->allocator = allocator;
    state->threads = threads;
    state->process = exl__process();
    state->own_threads = threads == 1 || engine_ort_pool_is_lost();
    /* Never unloaded: ONNX Runtime leaves thread-local and static state behind that must not outlive its code. */
    status = engine_ort_load_library(library_path, &library, error);
    if (status == EXL_OK)
        status = engine_ort_bind_functions(library, &state->api, error);
    if (status != EXL_OK)
        goto done;
    telemetry = engine_ort_forbid_telemetry();
    failed = engine_ort_create_env(&state->api, threads, state->own_threads, &state->env);
    if (!failed && !state->own_threads)
        engine_ort_pool_process = state->process;
    if (!failed && strcmp(telemetry, "0") != 0)
        failed = state->api.DisableTelemetryEvents(state->env);
    if (!failed)
        failed =
            state->api.CreateCpuMemoryInfo(ENGINE_ORT_DEVICE_ALLOCATOR, ENGINE_ORT_MEM_DEFAULT, &state->memory_info);
    if (!failed)
        failed = state->api.GetAllocatorWithDefaultOptions(&state->ort_allocator);
    if (failed)
        status = engine_ort_report(&state->api, failed, EXL_ENGINE_FAILED, "ONNX Runtime does not start", error);
done:
    if (status != EXL_OK) {
        engine_ort_close(state);
        state = NULL;
    }
    *out = state;
    return status;
}

/* ---- graphs ------------------------------------------------------------------------------------------------- */

static OrtStatus *engine_ort_make_value(const exl__engine_state *state, const exl__tensor *tensor, OrtValue **value) {
    return state->api.CreateTensorWithDataAsOrtValue(state->memory_info, (void *)(uintptr_t)tensor->data,
                                                     (size_t)tensor->data_bytes, tensor->dims, tensor->rank,
                                                     (int)tensor->type, value);
}

/* The graph is as the compiler left it, optimised already. Texts have many lengths, and a memory pattern would be
 * planned and kept for each. */
static OrtStatus *engine_ort_make_options(const exl__engine_state *state, int own_threads,
                                          OrtSessionOptions **options) {
    const engine_ort_api *api = &state->api;
    OrtStatus *failed = api->CreateSessionOptions(options);

    if (!failed)
        failed = api->SetSessionGraphOptimizationLevel(*options, 0);
    if (!failed)
        failed = api->DisableMemPattern(*options);
    if (!failed && own_threads)
        failed = api->SetIntraOpNumThreads(*options, (int)state->threads);
    if (!failed && !own_threads)
        failed = api->DisablePerSessionThreads(*options);
    if (!failed)
        failed = api->AddSessionConfigEntry(*options, "session.intra_op.allow_spinning", "0");
    return failed;
}

/* Hands each weight over as a value that lies in the bundle. It takes both calls for ONNX Runtime to use it in place:
 * AddExternalInitializers alone makes a copy (25 MB instead of 14 for a 23 MB encoder, of which 11 are its own packed
 * matrices), and AddInitializer alone has it look for the graph's external file, which does not exist. */
static OrtStatus *engine_ort_add_weights(exl__graph *graph, const exl__graph_source *source, const char **names,
                                         OrtSessionOptions *options) {
    const engine_ort_api *api = &graph->state->api;
    OrtStatus *failed = NULL;

    for (size_t i = 0; i < source->weight_count && !failed; i++) {
        names[i] = source->weights[i].name;
        if (!graph->weights[i])
            failed = engine_ort_make_value(graph->state, &source->weights[i], &graph->weights[i]);
        if (!failed)
            failed = api->AddInitializer(options, names[i], graph->weights[i]);
    }
    if (!failed && source->weight_count > 0)
        failed =
            api->AddExternalInitializers(options, names, (const OrtValue *const *)graph->weights, source->weight_count);
    return failed;
}

static OrtStatus *engine_ort_create_session(exl__graph *graph, const exl__graph_source *source, const char **names,
                                            int own_threads) {
    const engine_ort_api *api = &graph->state->api;
    OrtSessionOptions *options = NULL;
    OrtStatus *failed = engine_ort_make_options(graph->state, own_threads, &options);

    if (!failed)
        failed = engine_ort_add_weights(graph, source, names, options);
    if (!failed)
        failed =
            api->CreateSessionFromArray(graph->state->env, source->bytes, source->length, options, &graph->session);
    if (options)
        api->ReleaseSessionOptions(options);
    return failed;
}

/* One of the session's inputs or outputs, held against the ports that the bundle declares. */
static exl_status engine_ort_check_port(const exl__graph *graph, int is_input, size_t index, const exl__port *ports,
                                        size_t port_count, exl_error *error) {
    const engine_ort_api *api = &graph->state->api;
    const char *side = is_input ? "input" : "output";
    const OrtTensorInfo *info = NULL; /* belongs to `type` */
    OrtTypeInfo *type = NULL;
    OrtStatus *failed;
    exl_status status = EXL_OK;
    char *name = NULL;
    int element = 0;
    size_t rank = 0, port = 0;

    failed = (is_input ? api->SessionGetInputName : api->SessionGetOutputName)(graph->session, index,
                                                                               graph->state->ort_allocator, &name);
    if (!failed)
        failed =
            (is_input ? api->SessionGetInputTypeInfo : api->SessionGetOutputTypeInfo)(graph->session, index, &type);
    if (!failed)
        failed = api->CastTypeInfoToTensorInfo(type, &info);
    if (!failed && info)
        failed = api->GetTensorElementType(info, &element);
    if (!failed && info)
        failed = api->GetDimensionsCount(info, &rank);
    if (failed) {
        status = engine_ort_report(api, failed, EXL_ENGINE_REFUSED, graph->role, error);
        goto done;
    }
    while (port < port_count && strcmp(ports[port].name, name) != 0)
        port++;
    if (port == port_count)
        status =
            exl__fail(error, EXL_ENGINE_REFUSED, "the %s graph has the %s `%.100s`, which the bundle does not declare",
                      graph->role, side, name);
    else if ((uint32_t)element != ports[port].type || (rank != 0 && rank != ports[port].rank))
        status = exl__fail(error, EXL_ENGINE_REFUSED,
                           "the %s graph's %s `%s` has element type %d and rank %zu, not %u and %u", graph->role, side,
                           ports[port].name, element, rank, ports[port].type, ports[port].rank);
done:
    if (type)
        api->ReleaseTypeInfo(type);
    if (name)
        (void)api->AllocatorFree(graph->state->ort_allocator, name);
    return status;
}

static exl_status engine_ort_check_ports(const exl__graph *graph, const exl__graph_source *source, exl_error *error) {
    const engine_ort_api *api = &graph->state->api;
    size_t inputs = 0, outputs = 0;
    OrtStatus *failed = api->SessionGetInputCount(graph->session, &inputs);
    exl_status status = EXL_OK;

    if (!failed)
        failed = api->SessionGetOutputCount(graph->session, &outputs);
    if (failed)
        return engine_ort_report(api, failed, EXL_ENGINE_REFUSED, graph->role, error);
    if (inputs != source->input_count || outputs != source->output_count)
        return exl__fail(error, EXL_ENGINE_REFUSED,
                         "the %s graph has %zu inputs and %zu outputs, the bundle declares %zu and %zu", graph->role,
                         inputs, outputs, source->input_count, source->output_count);
    for (size_t i = 0; i < inputs && status == EXL_OK; i++)
        status = engine_ort_check_port(graph, 1, i, source->inputs, source->input_count, error);
    for (size_t i = 0; i < outputs && status == EXL_OK; i++)
        status = engine_ort_check_port(graph, 0, i, source->outputs, source->output_count, error);
    return status;
}

static void engine_ort_close_graph(exl__engine_state *state, exl__graph *graph) {
    if (!graph)
        return;
    if (graph->session && !engine_ort_threads_are_lost(state))
        state->api.ReleaseSession(graph->session);
    for (size_t i = 0; graph->weights && i < graph->weight_count; i++)
        if (graph->weights[i])
            state->api.ReleaseValue(graph->weights[i]);
    exl__release(state->allocator, graph->weights, graph->weight_count, sizeof *graph->weights);
    exl__release(state->allocator, graph, 1, sizeof *graph);
}

static exl_status engine_ort_open_graph(exl__engine_state *state, const exl__graph_source *source, exl__graph **out,
                                        exl_error *error) {
    exl_status status = EXL_OK;
    const char **names = NULL; /* needed while the session is made, no longer */
    OrtStatus *failed;
    char what[64];
    exl__graph *graph = exl__allocate(state->allocator, 1, sizeof *graph);

    if (!graph)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the %s graph", source->role);
    graph->state = state;
    graph->role = source->role;
    graph->weight_count = source->weight_count;
    if (source->weight_count > 0) {
        graph->weights = exl__allocate(state->allocator, source->weight_count, sizeof *graph->weights);
        names = exl__allocate(state->allocator, source->weight_count, sizeof *names);
        if (!graph->weights || !names) {
            status = exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the %s graph's weights", source->role);
            goto done;
        }
    }
    failed = engine_ort_create_session(graph, source, names, state->own_threads);
    if (failed && !state->own_threads) {
        /* Someone in this process started ONNX Runtime without a shared pool: then each graph has its own. */
        state->api.ReleaseStatus(failed);
        failed = engine_ort_create_session(graph, source, names, 1);
    }
    if (failed) {
        snprintf(what, sizeof what, "ONNX Runtime does not take the %s graph", source->role);
        status = engine_ort_report(&state->api, failed, EXL_ENGINE_REFUSED, what, error);
        goto done;
    }
    status = engine_ort_check_ports(graph, source, error);
done:
    exl__release(state->allocator, (void *)names, source->weight_count, sizeof *names);
    if (status != EXL_OK) {
        engine_ort_close_graph(state, graph);
        graph = NULL;
    }
    *out = graph;
    return status;
}

/* ---- running ------------------------------------------------------------------------------------------------ */

static uint64_t engine_ort_scratch_bytes(const exl__graph *graph) {
    (void)graph;
    return 0; /* it has an arena of its own */
}

static exl_status engine_ort_run(const exl__graph *graph, const exl__tensor *inputs, size_t input_count,
                                 const exl__tensor *outputs, size_t output_count, void *scratch,
                                 exl__operation_cost *costs, exl_error *error) {
    const engine_ort_api *api = &graph->state->api;
    const char *names[EXL__MAX_INPUTS + EXL__MAX_OUTPUTS] = {0}; /* of the outputs behind the inputs, as values */
    OrtValue *values[EXL__MAX_INPUTS + EXL__MAX_OUTPUTS] = {0};
    OrtStatus *failed = NULL;
    exl_status status = EXL_OK;
    char what[64];

    (void)scratch;
    (void)costs; /* there are none: engine_ort_operation_count */
    if (engine_ort_threads_are_lost(graph->state))
        return exl__fail(error, EXL_ENGINE_FAILED,
                         "ONNX Runtime's threads do not outlive a fork: open the bundle again in this process");
    for (size_t i = 0; i < input_count + output_count && !failed; i++) {
        const exl__tensor *tensor = i < input_count ? &inputs[i] : &outputs[i - input_count];
        names[i] = tensor->name;
        failed = engine_ort_make_value(graph->state, tensor, &values[i]);
    }
    if (!failed)
        failed = api->Run(graph->session, NULL, names, (const OrtValue *const *)values, input_count,
                          names + input_count, output_count, values + input_count);
    if (failed) {
        snprintf(what, sizeof what, "ONNX Runtime fails on the %s graph", graph->role);
        status = engine_ort_report(api, failed, EXL_ENGINE_FAILED, what, error);
    }
    for (size_t i = 0; i < input_count + output_count; i++)
        if (values[i])
            api->ReleaseValue(values[i]);
    return status;
}

static uint32_t engine_ort_operation_count(const exl__graph *graph) {
    (void)graph;
    return 0;
}

const exl__engine exl__engine_ort = {"ort",
                                     engine_ort_open,
                                     engine_ort_close,
                                     engine_ort_open_graph,
                                     engine_ort_close_graph,
                                     engine_ort_scratch_bytes,
                                     engine_ort_run,
                                     NULL,
                                     engine_ort_operation_count,
                                     NULL};

#endif
