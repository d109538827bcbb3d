/* The whole of embedding a bundle: cc embed.c -ledgexl -o embed && ./embed BUNDLE "a large body of water" */
#include <edgexl.h>
#include <stdio.h>
#include <string.h>

int main(int count, char **arguments) {
    exl_error error = {.struct_size = sizeof error};
    exl_bundle *bundle = NULL;
    exl_session *session = NULL;
    const exl_result *result = NULL;
    if (count != 3 || exl_bundle_open(arguments[1], NULL, &bundle, &error) != EXL_OK ||
        exl_session_open(bundle, NULL, &session, &error) != EXL_OK ||
        exl_predict(session, arguments[2], strlen(arguments[2]), NULL, &result, &error) != EXL_OK)
        return fprintf(stderr, "%s\n", error.sentence), 1;
    for (size_t i = 0; i < result->count; i++)
        printf("%.3f %s\n", result->predictions[i]->probability, result->predictions[i]->text);
    exl_session_close(session);
    exl_bundle_close(bundle);
    return 0;
}
